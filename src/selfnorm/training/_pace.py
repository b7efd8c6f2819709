"""How often checkpoints are written: as often as costs less than 1 % of the time."""

import math
import time

# Of the time of a training: half of the 1 % that is promised, as a write may take longer than the
# one before. With 30 processes on two cores, writes took 1.2 % where 1 % was aimed at.
_SHARE = 0.005
_LEAST = 3.0  # seconds from one to the next
_WRITE, _BYTES = 0.05, 1e8  # of the first, which nobody has measured: seconds, and bytes a second


class Pace:
    """When the next checkpoint is due.

    Args:
        every: Seconds from one to the next; None goes by what writing costs.
        steps: Mini-batches after which one is due, too; None for never.

    Attributes:
        spent: Seconds that writing has taken.
    """

    def __init__(self, every: float | None, steps: int | None) -> None:
        self._every, self._steps = every, steps
        self._done = 0
        self._start = self._last = time.monotonic()
        self._cost: float | None = None
        self.spent = 0.0

    @property
    def steps(self) -> float:
        """Mini-batches from one to the next, if their number tells."""
        return math.inf if self._steps is None else self._steps

    @property
    def left(self) -> float:
        """Mini-batches until their number makes one due."""
        return self.steps - self._done

    def start(self) -> None:
        """The training begins."""
        self._start = self._last = time.monotonic()

    def step(self, size: int) -> bool:
        """A mini-batch is done; whether to write so many bytes now."""
        self._done += 1
        return self.left <= 0 or self.due(size)

    def due(self, size: int) -> bool:
        """Whether it is time to write so many bytes."""
        now = time.monotonic()
        if self._every is not None:
            return now - self._last >= self._every
        if now - self._last < _LEAST:
            return False
        cost = _WRITE + size / _BYTES if self._cost is None else self._cost
        return self.spent + cost <= _SHARE * (now - self._start)

    def wrote(self, seconds: float) -> None:
        """Writing took so long, whether it went well or not."""
        self._last, self._done, self._cost = time.monotonic(), 0, seconds
        self.spent += seconds
