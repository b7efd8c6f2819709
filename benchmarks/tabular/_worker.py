"""One run, and a process of its own that measures one after the other and can be killed."""

import multiprocessing
import os
import signal
import time
import warnings
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from io import StringIO
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from benchmarks import _harness
from benchmarks.tabular import scores, tasks
from benchmarks.tabular._given import Given
from benchmarks.tabular.methods import find

STARTED = "started"


@dataclass(frozen=True)
class Run:
    """A method on one split of a task."""

    method: str
    task: str
    split: int


@dataclass(frozen=True)
class Setting:
    """Where the data lie, and how many threads a run may take."""

    data: Path = tasks.DATA
    threads: int = 2


def measure(run: Run, setting: Setting, started: Any = lambda: None) -> dict[str, Any]:
    """Scores and seconds of a run; an error in place of them if the method raises one.

    `started` is called when the data are there, before the method begins.
    """
    task, method = tasks.load(run.task, setting.data), find(run.method)
    test = task.test[:, run.split]
    given = Given(
        task.rows(~test),
        task.y[~test],
        task.validation[~test, run.split],
        task.kind,
        setting.threads,
        run.split,
    )
    method.ready()
    started()
    begin = time.perf_counter()
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            fitted = method.fit(given)
            between = time.perf_counter()
            said = scores.predict(fitted, task.rows(test))
        times = between - begin, time.perf_counter() - between
        found = scores.score(task.y[test], said, task.kind)
    except Exception as error:  # whatever it is, it is the method's result
        return failed(run, setting, f"{type(error).__name__}: {error}", time.perf_counter() - begin)
    return _record(run, setting, found, times, None)


def failed(run: Run, setting: Setting, error: str, seconds: float) -> dict[str, Any]:
    """The record of a run without a result."""
    return _record(run, setting, dict.fromkeys(scores.NAMES), (seconds, None), error)


def _record(
    run: Run,
    setting: Setting,
    found: dict[str, float | None],
    seconds: tuple[float, float | None],
    error: str | None,
) -> dict[str, Any]:
    packages = ("selfnorm", "torch", *find(run.method).packages)
    return {
        **vars(run),
        **found,
        "seconds_fit": seconds[0],
        "seconds_predict": seconds[1],
        "error": error,
        "threads": setting.threads,
        "versions": {name: version(name) for name in packages} | {"commit": _commit()},
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
    }


@cache
def _commit() -> str:
    return _harness.machine()["commit"]


class Worker:
    """A process that measures the runs that it is given, each within a limit of seconds."""

    def __init__(self, setting: Setting, limit: float | None) -> None:
        self.run: Run | None = None
        self._setting, self._limit = setting, limit
        self._began: float | None = None
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, self._setting))
        self._process.start()
        other.close()

    def give(self, run: Run) -> None:
        """Begin a run."""
        self.run, self._began = run, None
        self.connection.send(run)

    def left(self) -> float | None:
        """Seconds until the limit; None without one, or while the data are loaded."""
        if self._limit is None or self._began is None:
            return None
        return max(0.0, self._began + self._limit - time.monotonic())

    def look(self) -> dict[str, Any] | None:
        """The record of the run if it has ended, in whichever way; None if it goes on."""
        try:
            message = self.connection.recv() if self.connection.poll() else None
        except EOFError:
            return self._end(
                "the process died", time.monotonic() - (self._began or time.monotonic())
            )
        if message == STARTED:
            self._began = time.monotonic()
        elif message is not None:
            self.run = None
            return message
        elif self.left() == 0.0 and self._limit is not None:
            return self._end(f"killed after the limit of {self._limit:g} s", self._limit)
        return None

    def _end(self, error: str, seconds: float) -> dict[str, Any]:
        """Kill the process, start another, and say so in the run's record."""
        assert self.run is not None
        record = failed(self.run, self._setting, error, seconds)
        self.stop()
        self.run, self._began = None, None
        self._start()
        return record

    def stop(self) -> None:
        """End the process: politely if it has nothing to do, whatever it does else."""
        self.connection.close()
        self._process.join(0 if self.run else 5)
        self._process.kill()
        self._process.join()


def limit_threads(threads: int) -> None:
    """Let every library in processes that start from now on take so many threads."""
    for name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        os.environ[f"{name}_NUM_THREADS"] = str(threads)


def _serve(connection: Connection, setting: Setting) -> None:
    """Measure what comes until the other side is gone; Ctrl-C is the other side's affair."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    torch.set_num_threads(setting.threads)
    with threadpool_limits(setting.threads):
        while True:
            try:
                run = connection.recv()
            except EOFError:
                return
            connection.send(measure(run, setting, lambda: connection.send(STARTED)))
