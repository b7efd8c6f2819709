"""Plain networks of some 30 layers: how fast they may learn; MNIST, pulsars, and convolutions.

As `depth`, with this: on the other data each network has the one of two learning rates with which
it validates better, seed by seed.
"""

from collections.abc import Iterator
from dataclasses import replace

from benchmarks._deep import HAS_MNIST, HTRU2, OURS, Task, median, named, outcomes, row
from benchmarks._harness import Row, main

RATES = (1e-3, 3e-3)
FAST = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
LEARNED = 0.9
RIVALS = [
    "SELU, kept",
    "tanh, kept",
    "SELU + LeCun",
    "ReLU + He",
    "ReLU + BatchNorm",
    "ReLU + LayerNorm",
    "tanh + Xavier",
]


def measure(quick: bool) -> Iterator[Row]:
    """A group of rows for each kind of data; those are left out that are not here."""
    if quick:
        yield from best_of_rates(Task(OURS, 4, 4, 0, 0, 1, "images"), 1, ["ReLU + BatchNorm"])
        return
    digits = Task(OURS, 32, 128, 0, 0, 10)
    yield from fastest(digits, 2)
    if HAS_MNIST:  # no more inputs than units: only then the first layer is an isometry
        yield from best_of_rates(replace(digits, width=196, data="mnist 14 x 14"), 2)
    if HTRU2.exists():
        yield from best_of_rates(replace(digits, width=64, data="htru2", epochs=5, batch=128), 2)
    yield from best_of_rates(replace(digits, depth=30, width=16, data="images", epochs=6), 2)


def best_of_rates(task: Task, count: int, rivals: list[str] = RIVALS) -> Iterator[Row]:
    """Each network at the rate with which it validates better, seed by seed."""
    found = [outcomes(replace(task, rate=rate), [OURS, *rivals], count) for rate in RATES]
    best = {
        name: [min(several, key=lambda one: one.validated) for several in zip(*runs, strict=True)]
        for name in (OURS, *rivals)
        for runs in [[at[name] for at in found]]
    }
    for rival in rivals:
        yield row(named(task), best[OURS], rival, best[rival])


def fastest(task: Task, count: int) -> Iterator[Row]:
    """The largest rate with which the median of test accuracies is .9."""
    rival = "SELU + LeCun"
    largest = dict.fromkeys((OURS, rival), 0.0)
    for rate in FAST:
        for name, runs in outcomes(replace(task, rate=rate), list(largest), count).items():
            if median([one.accuracy for one in runs]) >= LEARNED:
                largest[name] = rate
    ours, theirs = largest.values()
    times = ours / theirs if theirs else float("inf")
    what = f"{named(task)}: largest rate that reaches {LEARNED}"
    yield Row(what, rival, f"{ours:g}", f"{theirs:g}", times, times, times, 3.0, 10.0)


if __name__ == "__main__":
    main("plain", measure)
