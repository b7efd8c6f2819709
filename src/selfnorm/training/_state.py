"""All that a training changes as it goes: what has to be kept to go on later."""

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from selfnorm.optim import AdamW, OrthogonalHandle, keep_orthogonal
from selfnorm.optim._choose import hidden_weights
from selfnorm.training._batches import Batches
from selfnorm.training._history import Epoch, History, Stop
from selfnorm.training._options import Options
from selfnorm.training._sharing import NotShared, Sharing

# As Pascanu et al. 2013. Adam goes by the sign of gradients rather than by their size, but
# remembers the square of a huge one for some 1 / (1 - 0.999) steps, in which it hardly moves.
LONGEST_GRADIENT = 1.0


@dataclass
class State:
    """A model with its optimizer, the schedule, and the best epoch so far.

    Attributes:
        model: The model in training.
        optimizer: AdamW over its parameters, which clips their gradients to norm 1.
        schedule: The learning rate, step by step.
        generator: Where the order of the rows comes from; torch's default generator if None.
        epochs: Those that are done.
        best: The one with the least deciding loss; None if none was finite.
        least: That loss.
        kept: What keeps hidden weights orthogonal; None if nothing does.
        sharing: How processes share the work.
        weights: The model's after that epoch, or at the start.
        steps: Mini-batches of the epoch under way that are done.
        rows: How many rows they had.
        total: The sum of their rows' losses.
        began: The generator's state when that epoch began; None before the first.
        place: Where in the data that is, if batches tell it, as plain JSON.
        begun: When that epoch began, by `time.perf_counter`; what a process before spent on it
            counts.
        started: When the training did, likewise.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    generator: torch.Generator | None
    weights: dict[str, Any]
    epochs: list[Epoch] = field(default_factory=list[Epoch])
    best: Epoch | None = None
    least: float = math.inf
    kept: OrthogonalHandle | None = None
    steps: int = 0
    rows: int = 0
    total: Tensor | float = 0.0
    began: Tensor | None = None
    place: Any = None
    begun: float = field(default_factory=time.perf_counter)
    started: float = field(default_factory=time.perf_counter)
    sharing: Sharing = field(default_factory=NotShared)

    @classmethod
    def start(
        cls,
        model: nn.Module,
        options: Options,
        steps: int,
        generator: torch.Generator | None,
        sharing: Sharing | None = None,
    ) -> "State":
        """The state before the first of so many steps."""
        hidden = hidden_weights(model) if options.keep_orthogonal else []
        ids = {id(weight) for weight in hidden}
        free = [parameter for parameter in model.parameters() if id(parameter) not in ids]
        groups = [{"params": free}, {"params": hidden, "weight_decay": 0.0}]
        optimizer = AdamW(
            groups if hidden else free,
            lr=options.learning_rate,
            weight_decay=options.weight_decay,
            max_norm=LONGEST_GRADIENT / options.members,
            clip_by_member=options.members > 1,
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        kept = None
        if options.keep_orthogonal:
            kept = keep_orthogonal(optimizer, model, convolutions=options.convolutions)
        shared = sharing or NotShared()
        weights = _weights(model)
        return cls(model, optimizer, schedule, generator, weights, kept=kept, sharing=shared)

    def batches(self, batches: Batches) -> Iterator[Any]:
        """The mini-batches of the epoch under way that are not done yet."""
        order = self.generator or torch.default_generator
        if self.steps:
            order.set_state(cast("Tensor", self.began))  # the same order is drawn again
        else:
            self.began = order.get_state()
        yield from self.sharing.epoch(batches, self.generator, self.steps, self.place)

    def end_epoch(self) -> float:
        """The mini-batches of an epoch are done; the mean loss of their rows."""
        mean = float(self.total) / self.rows
        self.steps, self.rows, self.total, self.place = 0, 0, 0.0, None
        return mean

    def add(self, epoch: Epoch, deciding: float) -> None:
        """An epoch is done; keep its weights if the deciding loss is the least so far."""
        self.epochs.append(epoch)
        if deciding < self.least:
            self.best, self.least, self.weights = epoch, deciding, _weights(self.model)

    def finish(self, stop: Stop) -> History:
        """Give the model the weights of the best epoch, in eval mode."""
        if self.kept is not None:
            self.kept.remove()
        self.model.load_state_dict(self.weights)
        self.model.eval()
        return History(tuple(self.epochs), self.best or self.epochs[0], stop)


def _weights(model: nn.Module) -> dict[str, Any]:
    return copy.deepcopy(model.state_dict())
