"""Who is told how a training goes."""

import math
import sys
from dataclasses import dataclass

from torch import nn

from selfnorm._parameters import Whole, check, parameter
from selfnorm.training._history import Epoch


class Progress:
    """Who is told how a training goes: this one tells nobody, the command line's draws a bar."""

    def built(self, network: nn.Module) -> None:
        """What is to be trained; it changes step by step."""

    def start(self, steps: int) -> None:
        """The training begins, with so many mini-batches at the most."""

    def resumed(self, steps: int) -> None:
        """A checkpoint is gone on from: so many of them are done."""

    def step(self) -> None:
        """A mini-batch is done."""

    def epoch(self, epoch: Epoch) -> None:
        """An epoch is done."""


@dataclass(frozen=True)
class Lines(Progress):
    """A line on stdout every so many epochs; 0 for none."""

    verbose: int = parameter(0, Whole(0), "Print a line every so many epochs.")

    def __post_init__(self) -> None:
        check(self)

    def epoch(self, epoch: Epoch) -> None:
        """An epoch is done."""
        if self.verbose and epoch.number % self.verbose == 0:
            told = f"epoch {epoch.number:4}  loss {epoch.loss:.4f}"
            if math.isfinite(epoch.validation_loss):
                told += f"  left out: {epoch.validation_loss:.4f}, {epoch.validation_score:.4g}"
            sys.stdout.write(f"{told}\n")
            sys.stdout.flush()


SILENT = Progress()
