"""The training loop: one step, one epoch, one fit."""

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from selfnorm.training._batches import Batches, Rows, Slices
from selfnorm.training._history import Epoch, History, Stop
from selfnorm.training._options import Options
from selfnorm.training._progress import SILENT, Progress
from selfnorm.training._sharing import Sharing
from selfnorm.training._state import State
from selfnorm.training._threads import threads_for

Loss = Callable[..., Tensor]
Score = Callable[..., float]


def train_step(state: State, batch: Rows | Slices, loss: Loss) -> Tensor:
    """One mini-batch: gradients clipped to norm 1, AdamW, the next learning rate.

    Returns:
        The loss before the step, detached.
    """
    state.optimizer.zero_grad()
    value = state.sharing.learn(state.model, batch, loss)
    state.optimizer.step()
    state.schedule.step()
    return value


def train_epoch(state: State, batches: Batches, loss: Loss, progress: Progress = SILENT) -> float:
    """One pass over all rows in a new order; the mean loss of its rows, each before its step."""
    state.model.train()
    total: Tensor | float = 0.0
    rows = 0
    with threads_for(state.model, batches.largest):
        for batch in state.sharing.epoch(batches, state.generator):
            total = total + train_step(state, batch, loss) * len(batch)
            rows += len(batch)
            progress.step()
        return state.sharing.mean(float(total) / rows)


def fit(
    model: nn.Module,
    batches: Batches,
    validation: Rows | None = None,
    *,
    loss: Loss,
    score: Score | None = None,
    options: Options | None = None,
    generator: torch.Generator | None = None,
    progress: Progress = SILENT,
    sharing: Sharing | None = None,
) -> History:
    """Train a model in place and leave it with the weights of its best epoch, in eval mode.

    AdamW (Loshchilov and Hutter 2019); the learning rate falls to zero along a half cosine over all
    epochs (Loshchilov and Hutter 2017, without restarts); gradients are clipped to norm 1. Ctrl-C
    ends the training early and keeps the best epoch so far.

    Args:
        model: Maps inputs (rows, ...) to outputs (rows, ...).
        batches: The rows to learn from, such as `Shuffled(Rows(inputs, targets), 64)`.
        validation: The rows that choose the best epoch; None takes the training loss instead.
        loss: Mean loss of outputs and targets; and of weights, a third argument, where the rows
            have some: the mean of each row's loss times its weight.
        score: The figure to show beside the validation loss, of the same arguments; the loss if
            None.
        options: Epochs, learning rate, weight decay and patience.
        generator: Where the order of the rows comes from; torch's default generator if None.
        progress: Who is told.
        sharing: How processes share the work, as `SharedRows`; None if this one does it all. The
            model starts with the same weights in all, and ends with the same.

    Returns:
        Every epoch, the best one, and why it ended.

    Raises:
        KeyboardInterrupt: Ctrl-C came before the first epoch was done, so nothing is to be kept.

    Example:
        >>> import selfnorm
        >>> inputs = torch.randn(256, 8)
        >>> rows = Rows(inputs, inputs.sum(1, keepdim=True) / 8**0.5)
        >>> model = selfnorm.nn.MLP(8, 1, width=32, depth=2)
        >>> from selfnorm.training import Shuffled
        >>> history = fit(model, Shuffled(rows, 32), loss=nn.functional.mse_loss,
        ...               options=Options(epochs=3))
        >>> len(history.epochs), history.epochs[-1].loss < history.epochs[0].loss
        (3, True)
    """
    options = options or Options()
    steps = options.epochs * batches.steps
    state = State.start(model, options, steps, generator, sharing)
    progress.start(steps)
    try:
        stop = _train(state, batches, validation, loss, score, options, progress)
    except KeyboardInterrupt:
        if state.best is None:
            raise
        stop = "interrupted"
    return state.finish(stop)


def _train(
    state: State,
    batches: Batches,
    validation: Rows | None,
    loss: Loss,
    score: Score | None,
    options: Options,
    progress: Progress,
) -> Stop:
    """Epoch after epoch, until there is a reason to stop."""
    start = time.perf_counter()
    while len(state.epochs) < options.epochs:
        begin = time.perf_counter()
        mean = train_epoch(state, batches, loss, progress)
        figures = _validate(state, validation, loss, score)
        seconds = time.perf_counter() - begin
        epoch = Epoch(len(state.epochs) + 1, mean, *figures, seconds)
        state.add(epoch, mean if validation is None else epoch.validation_loss)
        progress.epoch(epoch)
        if not math.isfinite(mean):
            return "diverged"
        if epoch.number - (state.best.number if state.best else 0) >= options.patience:
            return "patience"
        if options.time_limit is not None:
            spent = state.sharing.processes.same(time.perf_counter() - start)
            if spent >= options.time_limit:
                return "time"
    return "epochs"


def _validate(
    state: State, validation: Rows | None, loss: Loss, score: Score | None
) -> tuple[float, float]:
    if validation is None:
        return math.nan, math.nan
    outputs = state.sharing.predict(state.model, validation.inputs)
    value = float(loss(outputs, *validation.known))
    return value, value if score is None else score(outputs, *validation.known)
