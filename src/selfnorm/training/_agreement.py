"""When processes that train together write a checkpoint, or end: behind the same mini-batch."""

import time

import torch

from selfnorm.training._pace import Pace
from selfnorm.training._processes import Processes

# Seconds from one question to the next. It takes 0.2 ms (the median of two processes, by gloo, on
# one busy machine). `torchrun` gives those that it ends 30 seconds.
_APART = 1.0


class Agreement:
    """What processes do behind a mini-batch, the same in all.

    About once a second they sum what each wants. The first says by its pace whether to write, and
    by its clock in how many mini-batches they ask again; any may want to end.

    Args:
        processes: Who trains together.
        pace: When the first writes.
    """

    def __init__(self, processes: Processes, pace: Pace) -> None:
        self._processes, self._pace = processes, pace
        self._last, self._done, self._next = time.monotonic(), 0, 1

    def step(self, size: int, end: bool) -> tuple[bool, bool]:
        """A mini-batch is done.

        Args:
            size: About how many bytes would be written.
            end: Whether this process wants to end.

        Returns:
            Whether to write now, and whether to end then.
        """
        due = self._pace.step(size)
        if not self._processes.several:
            return due or end, end
        self._done += 1
        if self._done < self._next:
            return False, False
        first = self._processes.rank == 0
        wanted = [float(first and due), float(end), float(first and self._wait(due))]
        written, ended, wait = self._processes.add(torch.tensor(wanted, dtype=torch.float64))
        self._last, self._done, self._next = time.monotonic(), 0, int(wait)
        return bool(written or ended), bool(ended)

    def _wait(self, due: bool) -> int:
        """Mini-batches until the next question: not beyond one that makes a write due."""
        each = (time.monotonic() - self._last) / self._done
        steps = int(min(_APART / max(each, 1e-9), 1e6))
        left = self._pace.steps if due else self._pace.left
        return max(1, int(min(steps, left)))
