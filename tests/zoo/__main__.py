"""Audit and convert every network of the zoo, and write down what was found: `make zoo`.

Two questions are asked of each: is what a conversion makes of it right and unharmed, and is what
reports say of it and of its conversion true? What was found is kept, so that a run that was stopped
goes on where it was.
"""

import argparse
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tests.zoo import _counts, _torchvision
from tests.zoo._checks import Result, check
from tests.zoo._judge import Judged, judge
from tests.zoo._network import Network
from tests.zoo.networks import NETWORKS


class Question(NamedTuple):
    """What is asked of networks.

    Attributes:
        ask: Of one network.
        kind: The class of the answer.
        line: An answer in words.
        counts: Of all answers.
        file: Of the counts.
        folder: Of the answers.
    """

    ask: Callable[[Network], Any]
    kind: type[Any]
    line: Callable[[Any], str]
    counts: Callable[[list[Any]], dict[str, Any]]
    file: str
    folder: str


def main() -> int:
    """The exit code: 0 if nothing crashed and no harm was done."""
    parser = argparse.ArgumentParser(prog="python -m tests.zoo", description=__doc__)
    parser.add_argument("names", nargs="*", help="packages, or parts of names; all if none")
    parser.add_argument("--output", type=Path, default=Path("build/zoo"), help="folder of results")
    parser.add_argument("--processes", type=int, default=2, help="how many run side by side")
    parser.add_argument("--no-exports", action="store_true", help="leave exports out")
    parser.add_argument("--again", action="store_true", help="also what was found before")
    parser.add_argument("--only", choices=("conversions", "statements"), help="one question alone")
    asked = parser.parse_args()
    chosen = [n for n in NETWORKS if not asked.names or any(s in str(n) for s in asked.names)]
    converted = partial(check, exports=not asked.no_exports)
    questions = {
        "conversions": Question(
            converted, Result, _counts.line, _counts.counts, "zoo.json", "networks"
        ),
        "statements": Question(
            judge, Judged, _counts.told, _counts.statement_counts, "statements.json", "statements"
        ),
    }
    found = {
        name: _answers(question, chosen, asked)
        for name, question in questions.items()
        if asked.only in {None, name}
    }
    return int(_counts.failed(found.get("conversions", [])))


def _answers(question: Question, chosen: list[Network], asked: argparse.Namespace) -> list[Any]:
    folder = asked.output / question.folder
    known = {} if asked.again else _counts.read(folder, question.kind)
    results = [known[str(network)] for network in chosen if str(network) in known]
    waiting = [network for network in chosen if str(network) not in known]
    with ProcessPoolExecutor(asked.processes, initializer=_prepare) as pool:
        for done in as_completed([pool.submit(question.ask, network) for network in waiting]):
            results.append(done.result())
            _counts.write(results[-1], folder)
            sys.stdout.write(question.line(results[-1]) + "\n")
            sys.stdout.flush()
    counted = question.counts(results)
    lines = [question.line(one) for one in results]
    _counts.write_all(counted, lines, asked.output / question.file)
    sys.stdout.write(_counts.summary(counted) + "\n")
    return results


def _prepare() -> None:
    torch.set_num_threads(1)
    _torchvision.declare_operators()


if __name__ == "__main__":
    sys.exit(main())
