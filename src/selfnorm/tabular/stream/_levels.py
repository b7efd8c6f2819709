"""How often values stand in a column: a dictionary that is bounded, and merges."""

from collections import Counter
from collections.abc import Hashable, Iterable

_CAPACITY = 1 << 14


class Levels:
    """How often each value stands in a column, as far as a bounded dictionary can tell.

    Once there are more values than `capacity`, the count of the first that is one too many is taken
    from all counts, and what falls to 0 is forgotten. A count is then too small, by `lost` at the
    most, which is at most n / capacity of n values: whatever stands more often is there. As long as
    there are no more values, all counts are exact.

    Source: Misra and Gries 1982 (Science of Computer Programming 2); merging: Agarwal et al. 2012
    (PODS).
    """

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self.counts: Counter[Hashable] = Counter()
        self.lost = 0
        self._capacity = capacity

    def add(self, values: Iterable[Hashable], counts: Iterable[int]) -> None:
        """Distinct values come, each so many times."""
        for value, count in zip(values, counts, strict=True):
            self.counts[value] += count
        self._shrink()

    def merge(self, other: "Levels") -> None:
        """Those of another dictionary come."""
        self.counts.update(other.counts)
        self.lost += other.lost
        self._shrink()

    def _shrink(self) -> None:
        if len(self.counts) <= self._capacity:
            return
        less = sorted(self.counts.values(), reverse=True)[self._capacity]
        self.lost += less
        kept = {value: count - less for value, count in self.counts.items() if count > less}
        self.counts = Counter(kept)
