"""All runs that are wanted and not there yet, by some processes; each result a line of JSON."""

import json
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from benchmarks import _harness
from benchmarks.tabular._worker import Run, Setting, Worker, limit_threads

Record = dict[str, Any]


def path(folder: Path, method: str) -> Path:
    """The file of a method's results."""
    return folder / f"{method}.jsonl"


def read(folder: Path, methods: Iterable[str]) -> dict[Run, Record]:
    """The results of methods, of several of one run the last; a line cut off is none."""
    found = {}
    for method in methods:
        file = path(folder, method)
        for line in file.read_text().splitlines() if file.exists() else ():
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue
            found[Run(method, record["task"], record["split"])] = record
    return found


def keep(folder: Path, record: Record) -> None:
    """Append a result to its method's file, on a line of its own."""
    append(path(folder, record["method"]), record)


def append(file: Path, record: Record) -> None:
    """Append a line; one that was cut off before it is ended first."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+b") as lines:
        torn = lines.tell() and lines.seek(-1, 2) and lines.read() != b"\n"
        lines.write(b"\n" * bool(torn) + json.dumps(record).encode() + b"\n")


def look(folder: Path, methods: Iterable[str], what: str) -> None:
    """Note that the judged half was looked at: when, at which commit, for which methods."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    record = {"date": now, "commit": _harness.machine()["commit"], "what": what}
    append(folder / "looks.jsonl", record | {"methods": sorted(methods)})


def carry_out(
    runs: Iterable[Run],
    setting: Setting,
    jobs: int,
    limit: float | None,
    take: Callable[[Record], None],
    start: Callable[[Setting, float | None], Worker] = Worker,
) -> None:
    """Measure all runs in their order by so many processes, and hand each record over at once."""
    limit_threads(setting.threads)
    waiting = deque(runs)
    workers = [start(setting, limit) for _ in range(min(jobs, len(waiting)))]
    try:
        while busy := [one for one in workers if _is_busy(one, waiting)]:
            seconds = [left for one in busy if (left := one.left()) is not None]
            wait([one.connection for one in busy], min(seconds, default=None))
            for record in filter(None, [one.look() for one in busy]):
                take(record)
    finally:
        for worker in workers:
            worker.stop()


def _is_busy(worker: Worker, waiting: deque[Run]) -> bool:
    """Whether a process has a run; one that has none gets the next."""
    if worker.run is None and waiting:
        worker.give(waiting.popleft())
    return worker.run is not None
