"""Processes that are cut off and go on together; `tests/tabular/test_resume_together.py` starts it.

Each writes what it got into a folder; who started it compares.
"""

import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from selfnorm.errors import SelfNormError
from selfnorm.tabular import Settings, _fit, fit
from selfnorm.tabular.stream import _stream
from selfnorm.training import Checkpoint, Processes, Progress
from support.tables import settings
from support.together import forked

BASE = replace(settings(), target="label", ignore=("amount",), epochs=2, dropout=0.1, batch_size=24)
CASES: dict[str, tuple[Settings, bool]] = {
    "rows": (replace(BASE, distribute="rows"), False),
    "streamed rows": (replace(BASE, distribute="rows", memory=1e7), True),
    "members": (replace(BASE, n_estimators=3, distribute="members", infinite=False), False),
    "streamed members": (
        replace(
            BASE, n_estimators=2, distribute="members", infinite=False, memory=1e7, batch_size=12
        ),
        True,
    ),
}
AT = 11  # the mini-batch behind which all are cut off, in the midst of an epoch, as is the one kept


class At(Progress):
    """Does something before the end of one mini-batch, and counts them."""

    def __init__(self, at: int = 0, what: Callable[[], object] = lambda: None) -> None:
        self.at, self.what, self.steps, self.before = at, what, 0, 0

    def resumed(self, steps: int) -> None:
        self.before = steps

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.at:
            self.what()


def stop() -> None:
    """As a process that is gone: nothing more is kept."""
    raise SystemExit(7)


def trained(
    folder: Path, name: str, processes: Processes, progress: At, kept: Checkpoint | None
) -> list[torch.Tensor]:
    """All weights of a fit, and its losses."""
    how, streamed = CASES[name]
    needed = _fit.needed
    _fit.needed = (lambda _: 10**15) if streamed else needed
    try:
        found = fit(
            str(folder / "parts"), how, progress=progress, checkpoint=kept, processes=processes
        )
    finally:
        _fit.needed = needed
    losses = torch.tensor([one.loss for one in found.history.epochs])
    return [losses, *found.model.network.state_dict().values()]


def go_on(folder: Path) -> None:
    """Undisturbed; cut off behind a checkpoint; gone on with. Of each case, in two processes."""
    with Processes.joined(60) as processes:
        rank = processes.rank
        for name in CASES:
            place = folder / f"kept {name}" if rank == 0 else Path("/nowhere")
            undisturbed = trained(folder, name, processes, At(), None)
            kept = Checkpoint(place, every=1e9, steps=3, processes=processes)
            cut = At(AT, stop)
            if name.startswith("members"):  # one of them is told to end: all do
                asked = SystemExit(128 + signal.SIGTERM)
                cut = At(AT, lambda kept=kept, asked=asked: rank and kept.ask(asked))
            code = None
            try:
                trained(folder, name, processes, cut, kept)
            except SystemExit as end:
                code = end.code
            if rank == 0:  # others need not see the folder
                shutil.copytree(place, folder / f"left {name}")
            again = Checkpoint(place, resume=True, processes=processes)
            told = At()
            resumed = trained(folder, name, processes, told, again)
            steps = [code, cut.steps, told.before, told.steps]
            torch.save([undisturbed, resumed, steps], folder / f"{name}-{rank}.pt")


def alone(folder: Path) -> None:
    """A process that `torchrun` has not started goes on with what two have left."""
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        del os.environ[name]
    for name in ("rows", "streamed rows", "members"):
        try:
            kept = Checkpoint(folder / f"left {name}", resume=True)
            found = trained(folder, name, Processes(), told := At(), kept)
            torch.save([found, told.before], folder / f"{name}-alone.pt")
        except SelfNormError as error:
            (folder / f"{name}-alone").write_text(str(error))


def main(folder: Path) -> None:
    """All of it."""
    torch.set_num_threads(1)
    _stream.POOL_SHARE = 1e6  # pools of a few rows
    codes = [forked(2, lambda: go_on(folder)), forked(1, lambda: alone(folder))]
    (folder / "codes").write_text(repr(codes))
