"""Audit and train each network as found and as mended; figures into docs/wild.md.

Each is trained with two learning rates, and judged at the one that validates better, seed by seed.
A difference is told as such only where its mean is more than twice its standard error from 0.
"""

import argparse
import json
import statistics
from typing import Any

import torch
from torch import nn

import selfnorm
from benchmarks import table
from benchmarks._harness import RESULTS, machine
from benchmarks.wild.networks import CASES, Case

RATES = (1e-3, 3e-3)
HEAD = [
    "network", "audit as found", "audit, mended", "learns: measure", "as found", "mended",
    "the mend",
]  # fmt: skip


def made(case: Case, seed: int, *, mended: bool) -> nn.Module:
    """The network, with weights of that seed."""
    torch.manual_seed(seed)
    model = case.found()
    return case.mended(model, case.task().inputs(seed)) if mended else model


def outcome(case: Case, seed: int, *, mended: bool) -> float:
    """The measure on test rows, at the better rate."""
    task = case.task()
    runs = [task.run(made(case, seed, mended=mended), rate, seed) for rate in RATES]
    best = max if task.higher else min
    return best(runs, key=lambda run: run[0])[1]


def verdict(case: Case, *, mended: bool) -> str:
    """What the audit says in one word, and how often."""
    report = selfnorm.audit(made(case, 0, mended=mended), case.task().inputs(0))
    counts = report.counts()
    told = [f"{counts[kind]} {kind}{'s' * (counts[kind] != 1)}" for kind in ("error", "warning")
            if counts[kind]]  # fmt: skip
    return ", ".join(told) or "self-normalizing"


def compared(case: Case, seeds: int) -> list[str]:
    """A row of the table."""
    found, mended = (
        [outcome(case, seed, mended=how) for seed in range(seeds)] for how in (False, True)
    )
    task = case.task()
    sign = 1 if task.higher else -1
    gains = [sign * (ours - theirs) for theirs, ours in zip(found, mended, strict=True)]
    return [
        case.name,
        verdict(case, mended=False),
        verdict(case, mended=True),
        f"{task.what}: {task.measure}{'' if task.higher else ', less is better'}",
        _spread(found),
        _spread(mended),
        _said(gains),
    ]


def _spread(values: list[float]) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.3g} +- {deviation:.1g}"


def _said(gains: list[float]) -> str:
    mean = statistics.mean(gains)
    error = statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else float("inf")
    if abs(mean) <= 2 * error:
        return "no difference"
    return "helps" if mean > 0 else "harms"


def main() -> None:
    """Measure; write results and page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wild", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default="", help="networks whose name has this in it")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[list[str]] = []
    for case in CASES:
        if options.only in case.name:
            rows.append(compared(case, options.seeds))
            print(" | ".join(rows[-1]), flush=True)
    if options.only:
        return
    title = f"{options.seeds} seeds, mean and standard deviation:"
    result: dict[str, Any] = {
        "machine": machine(),
        "tables": [{"title": title, "head": HEAD, "rows": rows}],
    }
    (RESULTS / "wild.json").write_text(json.dumps(result, indent=2) + "\n")
    table.main()


if __name__ == "__main__":
    main()
