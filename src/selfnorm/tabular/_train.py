"""The training loop: mini-batches, AdamW, and the best epoch by validation loss is kept."""

import copy
import math
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from selfnorm.errors import ArgumentError

# Products in a layer of a mini-batch. Below, a second thread saves about a tenth of the time on an
# idle machine of two cores, and costs several times as much as it saves on a busy one.
_WORTH_THREADS = 2**23
Stop = Literal["epochs", "patience", "interrupted", "diverged"]


@dataclass(frozen=True)
class Options:
    """How to train; the estimators document each field. `batch_size` None goes by the rows."""

    epochs: int
    batch_size: int | None
    learning_rate: float
    weight_decay: float
    patience: int

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate", "patience"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ArgumentError(
                    f"{name} must be greater than 0; {value} came. Give a positive number."
                )
        if self.learning_rate > 1:
            raise ArgumentError(
                f"learning_rate must be at most 1; {self.learning_rate} came. Try 0.0005."
            )
        if not 0 <= self.weight_decay <= 1:
            raise ArgumentError(
                f"weight_decay must be in [0, 1]; {self.weight_decay} came. Give 0 for none."
            )

    def batch_rows(self, rows: int) -> int:
        """Rows of a mini-batch: as asked, or a 32nd of the rows, between 16 and 256."""
        return self.batch_size or max(16, min(256, rows // 32))


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


class Progress:
    """Who is told how a training goes: this one tells nobody, the command line's draws a bar."""

    def start(self, steps: int) -> None:
        """The training begins, with so many mini-batches at the most."""

    def step(self) -> None:
        """A mini-batch is done."""

    def epoch(self, epoch: Epoch) -> None:
        """An epoch is done."""


SILENT = Progress()


@dataclass(frozen=True)
class Rows:
    """Rows of a matrix with their targets, on the device that trains."""

    inputs: Tensor
    targets: Tensor


Loss = Callable[[Tensor, Tensor], Tensor]
Score = Callable[[Tensor, Tensor], float]


def train(
    model: nn.Module,
    training: Rows,
    validation: Rows | None,
    *,
    loss: Loss,
    score: Score,
    options: Options,
    progress: Progress = SILENT,
) -> History:
    """Train a model in place and leave it with the weights of its best epoch, in eval mode.

    The learning rate falls to zero along a half cosine over all epochs; gradients are clipped to
    norm 1. Ctrl-C ends the training early and keeps the best epoch so far.

    Args:
        model: Maps inputs (rows, features) to outputs (rows, ...).
        training: The rows to learn from, drawn in a new order every epoch (torch's generator).
        validation: The rows that choose the best epoch; None takes the training loss instead.
        loss: Mean loss of outputs and targets.
        score: The figure to show beside the validation loss.
        options: Epochs, batch size, learning rate, weight decay and patience.
        progress: Who is told.

    Raises:
        KeyboardInterrupt: Ctrl-C came before the first epoch was done, so nothing is to be kept.
    """
    batch = options.batch_rows(len(training.inputs))
    batches = math.ceil(len(training.inputs) / batch)
    steps = options.epochs * batches
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

    def one_epoch() -> float:
        model.train()
        total = torch.zeros((), device=training.inputs.device)
        order = torch.randperm(len(training.inputs)).to(training.inputs.device)
        for rows in order.tensor_split(batches):  # of even size, so that none is a single row
            optimizer.zero_grad()
            value = loss(model(training.inputs[rows]), training.targets[rows])
            value.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += value.detach() * len(rows)
            progress.step()
        return float(total) / len(order)

    progress.start(steps)
    epochs: list[Epoch] = []
    best: Epoch | None = None
    least = math.inf
    weights = copy.deepcopy(model.state_dict())
    stop: Stop = "epochs"
    try:
        for number in range(1, options.epochs + 1):
            begin = time.perf_counter()
            with _threads(model, batch):
                mean = one_epoch()
            figures = _validate(model, validation, loss, score)
            epoch = Epoch(number, mean, *figures, time.perf_counter() - begin)
            epochs.append(epoch)
            deciding = mean if validation is None else epoch.validation_loss
            if deciding < least:
                best, least, weights = epoch, deciding, copy.deepcopy(model.state_dict())
            progress.epoch(epoch)
            if not math.isfinite(mean):
                stop = "diverged"
                break
            if number - (best.number if best else 0) >= options.patience:
                stop = "patience"
                break
    except KeyboardInterrupt:
        if best is None:
            raise
        stop = "interrupted"
    model.load_state_dict(weights)
    model.eval()
    return History(tuple(epochs), best or epochs[0], stop)


def predict(model: nn.Module, inputs: Tensor, *, batch_size: int = 8192) -> Tensor:
    """The model's outputs in eval mode, without gradients, a batch at a time, on its own device."""
    model.eval()
    like = next(model.parameters())
    with torch.inference_mode():
        return torch.cat([model(batch.to(like)) for batch in inputs.split(batch_size)])


@contextmanager
def _threads(model: nn.Module, batch: int) -> Generator[None]:
    """One thread for layers so small that threads wait longer for each other than they work."""
    threads = torch.get_num_threads()
    largest = max(parameter.numel() for parameter in model.parameters())
    if batch * largest < _WORTH_THREADS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _validate(
    model: nn.Module, validation: Rows | None, loss: Loss, score: Score
) -> tuple[float, float]:
    if validation is None:
        return math.nan, math.nan
    outputs = predict(model, validation.inputs)
    return float(loss(outputs, validation.targets)), score(outputs, validation.targets)
