"""Processes that train together, forked from one; `tests/tabular/test_distribution.py` starts it.

Each writes what it got into a folder; who started it compares.
"""

import os
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from selfnorm.errors import SelfNormError
from selfnorm.tabular import Settings, _fit, fit
from selfnorm.training import Processes
from support.forks import ended, first, fork
from support.tables import settings

ROWS = replace(settings(), target="label", ignore=("amount",), distribute="rows", epochs=2)
SPREAD = replace(settings(), target="amount", ignore=("label",), epochs=2, n_estimators=4)
CASES: dict[str, Settings] = {
    "one network": ROWS,
    "members": replace(SPREAD, distribute="rows", weights="orthogonal", infinite=False),
    "spread": replace(SPREAD, distribute="members", dropout=0.1, infinite=True),
}
# Of each, whether in parts: both ways of the one, and one of the others.
PAIRS = (("one network", False), ("one network", True), ("members", True), ("spread", False))


def forked(size: int, work: Callable[[], None]) -> list[int]:
    """The exit codes of so many processes that each do some work."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def member(rank: int) -> None:
        names = "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_PORT"
        numbers = rank, size, rank, size, port
        os.environ.update(zip(names, map(str, numbers), strict=True))
        os.environ["MASTER_ADDR"] = "127.0.0.1"
        torch.set_num_threads(1)
        work()

    started = [fork(lambda rank=rank: member(rank)) for rank in range(size)]
    return [ended(child) for child in started]


def train(folder: Path, names: list[str]) -> None:
    """Fit in memory and in parts, and write weights and losses."""
    needed = _fit.needed
    with Processes.joined(60) as processes:
        for name in names:
            for streamed in [one for case, one in PAIRS if case == name]:
                _fit.needed = (lambda _: 10**15) if streamed else needed
                found = fit(str(folder / "parts"), CASES[name], processes=processes)
                state = found.model.network.state_dict()
                told = torch.tensor([one.loss for one in found.history.epochs])
                where = f"{name}-{streamed}-{processes.size}-{processes.rank}.pt"
                torch.save([told, *state.values()], folder / where)
    _fit.needed = needed


def fail(folder: Path) -> None:
    """The second process cannot read a part, and says so; the first says the same."""
    if os.environ["RANK"] == "1":
        _fit.needed = _damaged
    try:
        with Processes.joined(60) as processes:
            fit(str(folder / "parts"), ROWS, processes=processes)
    except SelfNormError as error:
        (folder / f"failed-{os.environ['RANK']}").write_text(str(error))
        raise SystemExit(2) from error


def _damaged(_: object) -> int:
    raise SelfNormError("'part1.parquet' is damaged.")


def vanish(folder: Path) -> None:
    """The second process is gone without a word."""
    try:
        with Processes.joined(60) as processes:
            if processes.rank == 1:
                os._exit(9)
            fit(str(folder / "parts"), ROWS, processes=processes)
    except SelfNormError as error:
        (folder / "vanished").write_text(str(error))
        raise SystemExit(2) from error


def command(folder: Path) -> None:
    """`selfnorm fit` as `torchrun` starts it."""
    from selfnorm.cli import main

    out = os.open(folder / f"said-{os.environ['RANK']}", os.O_WRONLY | os.O_CREAT)
    os.dup2(out, 1)
    os.dup2(out, 2)
    short = "--epochs 1 --n-estimators 2 --depth 1 --width 8 --no-infinite --device cpu"
    named = ["--target", "label", "--ignore", "amount", "-o", str(folder / "model")]
    sys.argv = ["selfnorm", "fit", str(folder / "parts"), *named, *short.split()]
    main()


def main(folder: Path) -> None:
    """All of it; what one process does alone comes first, so that others find all imported."""
    torch.set_num_threads(1)
    first(lambda: train(folder, list(CASES)))
    codes = {
        "train 2": forked(2, lambda: train(folder, list(CASES))),
        "train 4": forked(4, lambda: train(folder, ["one network", "spread"])),
        "fail": forked(2, lambda: fail(folder)),
        "vanish": forked(2, lambda: vanish(folder)),
        "command": forked(2, lambda: command(folder)),
    }
    (folder / "codes").write_text(repr(codes))
