"""What the commands of this package have in common."""

import argparse
from pathlib import Path

from benchmarks._harness import RESULTS
from benchmarks.tabular import tasks
from benchmarks.tabular.methods import METHODS

HALVES = ("development", "judged", "all", "regression")


def parser(about: str | None) -> argparse.ArgumentParser:
    """A parser that knows which data, tasks and methods are meant, and where results are."""
    made = argparse.ArgumentParser(description=about)
    add = made.add_argument
    add("--data", type=Path, default=tasks.DATA, help="folder of the classification tasks")
    add("--half", choices=HALVES, default="development", help="which tasks")
    add("--methods", type=names, default=tuple(METHODS), help="these alone, in this order")
    add("--splits", type=numbers, default=(), help="such as 0,1; all without")
    add("--results", type=Path, default=RESULTS, help="folder of the results")
    return made


def for_runs(about: str | None) -> argparse.ArgumentParser:
    """The same for commands that measure."""
    made = parser(about)
    add = made.add_argument
    add("--tasks", type=names, default=(), help="these alone, of whichever half; htru2 too")
    add("--most-rows", type=int, help="leave larger tasks out")
    add("--threads", type=int, default=2, help="of a run")
    add("--jobs", type=int, default=1, help="runs at once")
    add("--time-limit", type=float, help="seconds after which a run is killed")
    add("--again", choices=("failed", "all"), help="measure anew what failed, or all")
    return made


def names(text: str) -> tuple[str, ...]:
    """The parts of a list with commas."""
    return tuple(filter(None, text.split(",")))


def numbers(text: str) -> tuple[int, ...]:
    """The numbers of a list with commas."""
    return tuple(map(int, names(text)))
