"""Who is told how a training goes."""

from selfnorm.training._history import Epoch


class Progress:
    """Who is told how a training goes: this one tells nobody, the command line's draws a bar."""

    def start(self, steps: int) -> None:
        """The training begins, with so many mini-batches at the most."""

    def step(self) -> None:
        """A mini-batch is done."""

    def epoch(self, epoch: Epoch) -> None:
        """An epoch is done."""


SILENT = Progress()
