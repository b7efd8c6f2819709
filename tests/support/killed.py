"""Fits that are killed by SIGKILL at random moments until they are through; Linux and macOS.

`tests/tabular/test_resume.py` starts it.
"""

import os
import random
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import torch

from selfnorm.tabular import Settings, fit
from selfnorm.tabular import _fit as fitting
from selfnorm.tabular._storage import save_model
from selfnorm.tabular.stream import _budget, _stream
from selfnorm.training import Checkpoint, Progress
from support.forks import first, forked
from support.tables import small_table

_LONGEST = 0.25  # seconds of a training that is killed
_QUICK = {"target": "label", "ignore": ("amount",), "width": 8, "depth": 2, "batch_size": 16}


class _Killed(Progress):
    """Ends the process without a word some time after the training has begun."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def start(self, _: int) -> None:
        end = threading.Timer(self._seconds, os.kill, (os.getpid(), signal.SIGKILL))
        end.daemon = True
        end.start()


def survive(kills: int, seed: int) -> None:
    """Kill fits so many times, and hold what comes of them against undisturbed ones.

    Raises:
        AssertionError: a model has other bytes, or a process ended otherwise.
    """
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    drawn = random.Random(seed)  # noqa: S311 - when to kill
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        first(lambda: _write(folder))
        in_memory = Settings(epochs=6, n_estimators=2, infinite=False, **_QUICK)
        streamed = Settings(epochs=3, n_estimators=2, memory=1e7, **_QUICK)
        _kill(kills, drawn, folder, lambda: (folder / "0.parquet", in_memory))
        fitting.needed = lambda _: 10**15
        _budget._MOST_ROWS, _stream.POOL_SHARE = 7, 10**6  # many blocks and pools
        _kill(kills, drawn, folder, lambda: (f"{folder}/*.parquet", streamed))
    sys.stdout.write(f"{kills} kills in memory, {kills} streamed: the same bytes\n")


def _write(folder: Path) -> None:
    for number in range(3):
        path = folder / f"{number}.parquet"
        pq.write_table(small_table(100, seed=number), path, row_group_size=30)


def _kill(
    kills: int, drawn: random.Random, folder: Path, what: Callable[[], tuple[object, Settings]]
) -> None:
    def run(out: Path, checkpoint: Checkpoint | None, progress: Progress) -> None:
        source, how = what()
        save_model(fit(source, how, checkpoint=checkpoint, progress=progress).model, out)

    wanted, found = folder / "wanted.snn", folder / "found.snn"
    first(lambda: run(wanted, None, Progress()))
    killed = 0
    left = folder / "c"
    while killed < kills or not found.exists() or left.exists():
        if found.exists():  # it was through, or nearly, before it could be killed: once more
            assert found.read_bytes() == wanted.read_bytes()
            found.unlink()
        after = drawn.uniform(0, _LONGEST) if killed < kills else 1e9
        checkpoint = Checkpoint(left, resume=True, steps=drawn.randint(1, 4))
        code = forked(lambda: run(found, checkpoint, _Killed(after)))  # noqa: B023 - runs at once
        assert code in (0, -signal.SIGKILL), code
        killed += code != 0
    assert found.read_bytes() == wanted.read_bytes()
    found.unlink()
    wanted.unlink()
