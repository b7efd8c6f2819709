"""A quantile sketch: a few thousand numbers that stand for any number of them, and merge."""

import numpy as np

_CAPACITY = 4096


class Quantiles:
    """Numbers, each of which stands for so many, that have nearly the same quantiles as all.

    Level h holds numbers that stand for 2^h each. Where a level holds more than `capacity`, it is
    sorted and every second one goes up; which of two, takes turns. A compaction of level h moves a
    rank by 2^h at the most, so of n numbers a rank is off by less than

        n / capacity * log2(n / capacity)

    and in practice, as errors of both signs meet, by a small part of that. Up to `capacity` numbers
    nothing is lost. Least and largest number are exact.

    Attributes:
        least: The least number.
        largest: The largest.
        levels: The numbers of each level.

    Source: Manku, Rajagopalan and Lindsay 1998 (SIGMOD); Agarwal et al. 2012 (PODS) on merging.
    """

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self.least, self.largest = np.inf, -np.inf
        self._capacity = capacity
        self.levels: list[np.ndarray] = []
        self._turns: list[int] = []

    def add(self, numbers: np.ndarray, counts: np.ndarray | None = None) -> None:
        """Numbers come, float64, none of them nan; each stands for one, or for its count."""
        if not len(numbers):
            return
        self.least = min(self.least, float(numbers.min()))
        self.largest = max(self.largest, float(numbers.max()))
        if counts is None:
            self._put(0, numbers)
            return
        for level in range(int(counts.max()).bit_length()):  # a count is a sum of powers of two
            self._put(level, numbers[(counts >> level) & 1 == 1])

    def merge(self, other: "Quantiles") -> None:
        """Those of another sketch come."""
        self.least, self.largest = min(self.least, other.least), max(self.largest, other.largest)
        for level, numbers in enumerate(other.levels):
            self._put(level, numbers)

    def points(self) -> tuple[np.ndarray, np.ndarray]:
        """The numbers that stand for all, and for how many each does."""
        numbers = np.concatenate([np.empty(0), *self.levels])
        sizes = [len(level) for level in self.levels]
        counts = np.repeat(2 ** np.arange(len(sizes), dtype=np.int64), sizes)
        if len(numbers):  # the outermost may have been left behind
            numbers[numbers.argmin()], numbers[numbers.argmax()] = self.least, self.largest
        return numbers, counts

    def _put(self, level: int, numbers: np.ndarray) -> None:
        while len(self.levels) <= level:
            self.levels.append(np.empty(0))
            self._turns.append(0)
        here = np.concatenate([self.levels[level], numbers])
        if len(here) <= self._capacity:
            self.levels[level] = here
            return
        here.sort()
        paired = len(here) // 2 * 2
        self.levels[level] = here[paired:].copy()  # a view would hold all of them
        self._turns[level] ^= 1
        self._put(level + 1, here[self._turns[level] : paired : 2])
