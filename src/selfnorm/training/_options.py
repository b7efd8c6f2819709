"""How to train: the numbers that a user may set."""

import math
from dataclasses import dataclass
from typing import get_args

from selfnorm._parameters import Choice, Flag, Number, OrNone, Whole, check, parameter
from selfnorm.optim._convolutions import Convolutions


@dataclass(frozen=True)
class Options:
    """How to train.

    Attributes:
        epochs: Most passes over the training rows.
        batch_size: Rows of a mini-batch; None takes a 32nd of the rows, from 16 to 256.
        learning_rate: AdamW's step size at the start; it falls to 0 along a half cosine.
        weight_decay: AdamW's decoupled weight decay, of weights and biases.
        patience: Epochs without a better validation loss before training stops.
        keep_orthogonal: Bring the hidden weights back to orthogonal ones after the optimizer's
            steps, as `selfnorm.optim.keep_orthogonal`; they are not decayed then.
        convolutions: Keep convolutions of stride 1 as "matrices" or as "operators", likewise.
        time_limit: Seconds after which no epoch begins; None for no limit. One is done anyway.
        members: Networks in the model (`selfnorm.nn.MLP(members=K)`), over which the loss is a
            mean: gradients are clipped for each.

    Raises:
        ArgumentError: One of them is out of its range, or no number.
    """

    epochs: int = parameter(100, Whole(1), "Most epochs.")
    batch_size: int | None = parameter(
        None,
        OrNone(Whole(1), "a 32nd of the rows, from 16 to 256"),
        "Rows a step. Default: a 32nd of the rows, 16 to 256.",
        try_=64,
    )
    learning_rate: float = parameter(5e-4, Number(0, 1, open_low=True), "AdamW's, at the start.")
    weight_decay: float = parameter(1e-4, Number(0, 1), "AdamW's.")
    patience: int = parameter(20, Whole(1), "Epochs without gain before it stops.")
    time_limit: float | None = parameter(
        None,
        OrNone(Number(0, math.inf, open_low=True), "no limit"),
        "Seconds after which no epoch begins.",
        try_=600,
    )
    keep_orthogonal: bool = parameter(False, Flag(), "Keep the hidden weights orthogonal.")
    convolutions: Convolutions = parameter(
        "matrices", Choice(get_args(Convolutions)), "What they are kept as."
    )
    members: int = parameter(1, Whole(1), "Networks in the model.")

    def __post_init__(self) -> None:
        check(self)

    def batch_rows(self, rows: int) -> int:
        """Rows of a mini-batch: as asked, or a 32nd of the rows, between 16 and 256."""
        return self.batch_size or max(16, min(256, rows // 32))
