"""Plain networks of some 30 layers on other data: MNIST's digits, pulsars, and convolutions.

As `depth`, with this: each network has the one of two learning rates with which it validates
better, seed by seed.
"""

from collections.abc import Iterator
from dataclasses import replace

from benchmarks._deep import HAS_MNIST, HTRU2, OURS, Task, named, outcomes, row
from benchmarks._harness import Row, main

RATES = (1e-3, 3e-3)
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
    mnist = Task(OURS, 32, 128, 0, 0, 10, "mnist")
    if HAS_MNIST:
        yield from best_of_rates(mnist, 3)
    if HTRU2.exists():
        yield from best_of_rates(replace(mnist, width=64, data="htru2", epochs=5, batch=128), 3)
    yield from best_of_rates(replace(mnist, depth=30, width=16, data="images", epochs=6), 3)


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


if __name__ == "__main__":
    main("plain", measure)
