"""Measure methods on tasks, or what of that is not measured yet: `python -m benchmarks.tabular`.

Results go to RESULTS/tabular, a file for each method. Ctrl-C loses no more than the run that is
under way; the same command goes on from there.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks._harness import RESULTS
from benchmarks.tabular import runs, tasks
from benchmarks.tabular._worker import Run, Setting
from benchmarks.tabular.methods import METHODS, find

QUICK = ("iris", "hayes-roth", "seeds", "haberman-survival")


def main() -> None:
    """Read the options and measure."""
    options = parsed()
    if not options.quick:
        return measure(options)
    with tempfile.TemporaryDirectory() as folder:
        options.results, options.tasks, options.splits = Path(folder), QUICK, (0,)
        options.methods = tuple(name for name in options.methods if METHODS[name].quick)
        return measure(options)


def measure(options: argparse.Namespace) -> None:
    """Measure what is asked for and not there, and print each result as it comes."""
    folder = options.results / "tabular"
    entries = tasks.choose(
        tasks.catalog(options.data), options.half, options.tasks, options.most_rows
    )
    methods = [name for name in options.methods if is_here(name)]
    wanted = [
        Run(method, entry.name, split)
        for split in range(max(tasks.SPLITS, tasks.FOLDS))
        if not options.splits or split in options.splits
        for method in methods
        for entry in entries
        if split < entry.splits
    ]
    there = {} if options.again else runs.read(folder, methods)
    missing = [run for run in wanted if run not in there]
    if any(entry.group == "judged" for entry in entries):
        runs.look(folder, methods, "run")
    print(f"{len(wanted)} runs, {len(missing)} of them to do; results in {folder}", flush=True)

    def take(record: runs.Record) -> None:
        runs.keep(folder, record)
        print(line(record), flush=True)

    setting = Setting(options.data, options.threads)
    runs.carry_out(missing, setting, options.jobs, options.time_limit, take)


def is_here(name: str) -> bool:
    """Whether a method's packages are installed; says so if not."""
    if missing := find(name).missing():
        print(f"{name} is left out: {', '.join(missing)} is not installed.", flush=True)
    return not missing


def line(record: runs.Record) -> str:
    """A result as a line of text."""
    value = record["accuracy"] if record["r2"] is None else record["r2"]
    found = record["error"] if value is None else f"{value:.4f}"
    what = f"{record['method']:22} {record['task']:32} {record['split']}"
    return f"{what}  {record['seconds_fit']:8.2f} s  {found}"


def parsed() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tabular", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, default=tasks.DATA, help="folder of the classification tasks")
    add("--half", choices=("development", "judged", "all", "regression"), default="development")
    add("--tasks", type=names, default=(), help="these alone, of whichever half; htru2 too")
    add("--methods", type=names, default=tuple(METHODS), help="these alone, in this order")
    add("--splits", type=numbers, default=(), help="such as 0,1; all without")
    add("--most-rows", type=int, help="leave larger tasks out")
    add("--threads", type=int, default=2, help="of a run")
    add("--jobs", type=int, default=1, help="runs at once")
    add("--time-limit", type=float, help="seconds after which a run is killed")
    add("--results", type=Path, default=RESULTS)
    add("--again", action="store_true", help="measure anew what is there")
    add("--quick", action="store_true", help="tiny tasks and quick methods; keeps nothing")
    return parser.parse_args()


def names(text: str) -> tuple[str, ...]:
    """The parts of a list with commas."""
    return tuple(filter(None, text.split(",")))


def numbers(text: str) -> tuple[int, ...]:
    """The numbers of a list with commas."""
    return tuple(map(int, names(text)))


if __name__ == "__main__":
    main()
