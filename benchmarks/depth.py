"""Which deep plain networks train, and do their layers stay normalized from first to last step?

Each row is several trainings, from several seeds: the median of the test accuracy, the least and
the most, and between what the variances of layers were. Ours is SELU shaped for the depth with
weights kept orthogonal; it is wrong if a variance leaves theorem 1's range at any time.
"""

from collections.abc import Iterator
from dataclasses import replace

from benchmarks._deep import OURS, RIVALS, Task, named, outcomes, row
from benchmarks._harness import Row, main

RATES = (1e-3, 3e-3)
RIVALS_SEEDS = 2


def measure(quick: bool) -> Iterator[Row]:
    """A group of rows for each claim."""
    if quick:
        yield from by_rate(Task(OURS, 12, 32, 1e-3, 0, 2), 1, RATES[:1], ["SELU + LeCun"])
        return
    digits = Task(OURS, 100, 128, 1e-3, 0, 10)
    yield from by_rate(digits, 5, RATES, RIVALS)
    deep = replace(digits, depth=1000, width=64)
    yield from deepest(deep, 5, ["bidirectional, kept", "SELU, kept", "tanh, kept"])


def by_rate(task: Task, count: int, rates: tuple[float, ...], rivals: list[str]) -> Iterator[Row]:
    """All networks at each rate."""
    for rate in rates:
        at = replace(task, rate=rate)
        found = outcomes(at, [OURS], count) | outcomes(at, rivals, min(count, RIVALS_SEEDS))
        for rival in rivals:
            yield row(f"{named(task)}, rate {rate:g}", found[OURS], rival, found[rival])


def deepest(task: Task, count: int, rivals: list[str]) -> Iterator[Row]:
    """Ours many times, and others of that depth once."""
    (ours,) = outcomes(task, [OURS], count).values()
    others = outcomes(task, rivals, 1)
    what = f"{named(task)}, rate {task.rate:g}"
    for rival in rivals:
        yield row(what, ours, rival, others[rival])


if __name__ == "__main__":
    main("depth", measure)
