"""What a training tells afterwards."""

from dataclasses import dataclass
from typing import Literal

Stop = Literal["epochs", "patience", "time", "interrupted", "diverged"]


@dataclass(frozen=True)
class Epoch:
    """One pass over the training rows, and what the validation rows say after it.

    Where there are no validation rows, both validation figures are nan.
    """

    number: int
    loss: float
    validation_loss: float
    validation_score: float
    seconds: float


@dataclass(frozen=True)
class History:
    """The epochs of a training, the one whose weights were kept, and why it ended.

    Where no epoch had a finite loss, the weights are those of the start, and `best` is the first.
    """

    epochs: tuple[Epoch, ...]
    best: Epoch
    stop: Stop

    @property
    def seconds(self) -> float:
        """Wall-clock time of all epochs."""
        return sum(epoch.seconds for epoch in self.epochs)
