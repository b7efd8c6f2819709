"""Several networks that are trained as one, each on rows of its own."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from selfnorm.nn import MLP
from selfnorm.tabular.encoding._target import Target


class Ensemble(nn.Module):
    """Members of one shape whose rows come first, as a training loop and a prediction have them.

    Args:
        network: The members.

    Shape:
        Input (rows, features), which all members read, or (rows, members, features); output (rows,
        members, outputs).
    """

    def __init__(self, network: MLP) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Each member's outputs."""
        return self.network(x.transpose(0, 1) if x.ndim == 3 else x).transpose(0, 1)


@dataclass(frozen=True)
class Judged:
    """Loss and score of an ensemble, in training and of what each row is told by who left it out.

    Attributes:
        target: What outputs stand for.
        left_out: Of each row to validate with the member that did not learn from it, (rows,).
    """

    target: Target
    left_out: Tensor | None

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean over members and rows, or over the rows to validate with."""
        return self.target.loss(*self._pairs(outputs, targets))

    def score(self, outputs: Tensor, targets: Tensor) -> float:
        """The target's score, likewise."""
        return self.target.score(*self._pairs(outputs, targets))

    def _pairs(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        several = (
            1 if self.target.task == "classification" else 2
        )  # dimensions of a single target's
        if self.left_out is None or targets.ndim > several:
            return outputs.flatten(0, 1), targets.flatten(0, 1)
        return outputs[torch.arange(len(outputs)), self.left_out.to(outputs.device)], targets
