"""What all benchmarks share: timing in turns, rows, the machine, results as JSON and Markdown.

The machine's speed drifts, so rivals are timed in the same run, in turns A B A B ...; a ratio
is the median over the turns of their time by ours. Each file of results carries machine and
versions.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("selfnorm", "torch", "numba", "triton", "jax", "numpy")


@dataclass(frozen=True)
class Row:
    """One line of a table: what was measured, in words and numbers.

    `ratio` is how many times better ours is than the rival; `least` and `wanted` are its aims.
    """

    what: str
    rival: str
    ours: str
    theirs: str
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    least: float | None = None
    wanted: float | None = None
    wrong: str = ""

    @property
    def verdict(self) -> str:
        """Whether the aims are met; no ratio counts where the results are wrong."""
        if self.wrong:
            return f"WRONG: {self.wrong}"
        if self.ratio is None or self.least is None:
            return ""
        if self.wanted is not None and self.ratio >= self.wanted:
            return "as wanted"
        return "reached" if self.ratio >= self.least else "missed"


@dataclass(frozen=True)
class Budget:
    """How much time a comparison may take: a few turns if quick.

    `repeats` is how often a contestant does its work in one call.
    """

    turns: int
    seconds: float
    repeats: int = 1


def budget(quick: bool) -> Budget:
    """Turns of each contestant, and about how long one turn lasts."""
    return Budget(3, 0.002) if quick else Budget(25, 0.05)


def in_turns(contestants: dict[str, Callable[[], Any]], within: Budget) -> dict[str, list[float]]:
    """Seconds a call, turn by turn, each turn of some calls."""
    calls = {}
    for name, run in contestants.items():
        run()
        start = time.perf_counter()
        run()
        calls[name] = max(1, int(within.seconds / (time.perf_counter() - start)))
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(within.turns):
        for name, run in contestants.items():
            start = time.perf_counter()
            for _ in range(calls[name]):
                run()
            times[name].append((time.perf_counter() - start) / calls[name] / within.repeats)
    return times


def compare(
    what: str,
    ours: Callable[[], Any],
    rivals: dict[str, Callable[[], Any] | None],
    within: Budget,
    aims: dict[str, tuple[float, float]] | None = None,
    wrong: str = "",
) -> list[Row]:
    """A row for each rival that is there, all timed in the same turns."""
    present = {name: run for name, run in rivals.items() if run is not None}
    if not present:
        return []
    times = in_turns({"ours": ours, **present}, within)
    rows = []
    for name in present:
        low, ratio, high = ratios(times["ours"], times[name])
        least, wanted = (aims or {}).get(name, (None, None))
        ours_text, theirs = (duration(statistics.median(times[key])) for key in ("ours", name))
        rows.append(Row(what, name, ours_text, theirs, ratio, low, high, least, wanted, wrong))
    return rows


def ratios(ours: list[float], theirs: list[float]) -> tuple[float, float, float]:
    """Their time by ours, turn by turn: the lower quartile, the median, the upper quartile."""
    values = sorted(b / a for a, b in zip(ours, theirs, strict=True))
    low, median, high = (values[round(q * (len(values) - 1))] for q in (0.25, 0.5, 0.75))
    return low, median, high


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def machine() -> dict[str, str]:
    """Machine, versions, threads, commit and date."""
    facts = {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "threads": str(torch.get_num_threads()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "commit": _git("rev-parse", "--short", "HEAD")
        + (" and changes" if _git("status", "--porcelain", "src") else ""),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }
    if torch.cuda.is_available():
        facts["GPU"] = torch.cuda.get_device_name()
    return facts | {package: _version(package) for package in _PACKAGES}


def main(name: str, measure: Callable[[bool], Iterable[Row]]) -> None:
    """Run one benchmark from the command line; print and save its rows as they come."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON file")
    options = parser.parse_args()
    torch.manual_seed(0)
    facts = machine()
    print(f"# {name}: {facts['processor']}, {facts['threads']} threads", flush=True)
    rows = []
    for row in measure(options.quick):
        rows.append(row)
        print(line(row), flush=True)
        save(options.results / f"{name}.json", facts, rows)


def line(row: Row) -> str:
    """A row as one line of text."""
    counts = row.ratio is not None and not row.wrong
    ratio = f"{row.ratio:6.2f}x ({row.low:.2f} to {row.high:.2f})" if counts else ""
    return f"{row.what:58} {row.ours:>12} | {row.rival}: {row.theirs} {ratio} {row.verdict}"


def save(path: Path, facts: dict[str, str], rows: list[Row]) -> None:
    """Write machine and rows, by way of a temporary file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = [asdict(row) | {"verdict": row.verdict} for row in rows]
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({"machine": facts, "rows": entries}, indent=1) + "\n")
    temporary.replace(path)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    facts = dict(part.split(":", 1) for part in lines if ":" in part)
    facts = {key.strip(): value.strip() for key, value in facts.items()}
    family = f"family {facts.get('cpu family', '?')} model {facts.get('model', '?')}"
    return f"{facts.get('model name', 'unknown')} ({family})"


def _git(*arguments: str) -> str:
    outcome = subprocess.run(
        ["git", *arguments], capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    )
    return outcome.stdout.strip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
