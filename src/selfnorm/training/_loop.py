"""The training loop: one step, one epoch, one fit."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn

from selfnorm.training._batches import Batches, Rows, Slices
from selfnorm.training._checkpoint import Checkpoint
from selfnorm.training._checkpointer import NOTHING, Checkpointer, Own
from selfnorm.training._history import Epoch, History, Stop
from selfnorm.training._options import Options
from selfnorm.training._processes import ALONE
from selfnorm.training._progress import SILENT, Progress
from selfnorm.training._sections import Section
from selfnorm.training._sharing import SharedRows, Sharing
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


def train_epoch(
    state: State,
    batches: Batches,
    loss: Loss,
    progress: Progress = SILENT,
    done: Callable[[], object] = lambda: None,
) -> float:
    """One pass over all rows in a new order; the mean loss of its rows, each before its step.

    Args:
        state: What changes; of an epoch that is under way it does the rest.
        batches: The rows.
        loss: Of outputs, targets, and weights if there are some.
        progress: Who is told of each mini-batch.
        done: Called after each, when all of it is in the state.
    """
    state.model.train()
    with threads_for(state.model, batches.largest):
        for batch in state.batches(batches):
            state.total = state.total + train_step(state, batch, loss) * len(batch)
            state.rows += len(batch)
            state.steps += 1
            progress.step()
            done()
        return state.sharing.mean(state.end_epoch())


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
    checkpoint: Checkpoint | None = None,
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
        checkpoint: Where to keep what is needed to go on after the process has died; None keeps
            nothing. With one, Ctrl-C leaves it there, and the training can be gone on with.
        sharing: How processes share the work, as `SharedRows`; None if this one does it all. The
            model starts with the same weights in all, and ends with the same.

    Returns:
        Every epoch, the best one, and why it ended.

    Raises:
        KeyboardInterrupt: Ctrl-C came before the first epoch was done, so nothing is to be kept.
        CheckpointError: the checkpoint is in use, or of another training.
        ArgumentError: the checkpoint is of other processes than those that share.

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
    how = (model, batches, validation, loss, score, options or Options(), generator, progress)
    if checkpoint is None:
        return fit_section(*how, None, sharing=sharing)
    outer = checkpoint.entered
    checkpoint.require(ALONE if sharing is None else sharing.processes)
    with checkpoint:
        checkpoint.begin(_identity(model, batches, how[5], sharing))
        history = fit_section(*how, checkpoint.section("training"), sharing=sharing)
        if not outer and history.stop != "interrupted":
            checkpoint.remove()
    return history


def fit_section(
    model: nn.Module,
    batches: Batches,
    validation: Rows | None,
    loss: Loss,
    score: Score | None,
    options: Options,
    generator: torch.Generator | None,
    progress: Progress,
    section: Section | None,
    own: Own = NOTHING,
    sharing: Sharing | None = None,
) -> History:
    """As `fit`, as a part of a checkpoint whose other parts are others' affair.

    Args:
        model: As all that follows, of `fit`.
        batches: Likewise.
        validation: Likewise.
        loss: Likewise.
        score: Likewise.
        options: Likewise.
        generator: Likewise.
        progress: Likewise.
        section: The part; None keeps nothing.
        own: What of the caller's belongs to the state, and how it is taken back.
        sharing: Of `fit`.
    """
    steps = options.epochs * batches.steps
    state = State.start(model, options, steps, generator, sharing)
    progress.start(steps)
    checkpointer = Checkpointer(state, batches, section, own)
    if (stop := checkpointer.resume(progress)) is not None:
        return state.finish(stop)
    try:
        with checkpointer.listening:
            stop = _train(state, batches, validation, loss, score, options, progress, checkpointer)
    except KeyboardInterrupt:
        if state.best is None:
            raise
        return state.finish("interrupted")
    checkpointer.finish(stop)
    return state.finish(stop)


def _train(
    state: State,
    batches: Batches,
    validation: Rows | None,
    loss: Loss,
    score: Score | None,
    options: Options,
    progress: Progress,
    checkpointer: Checkpointer,
) -> Stop:
    """Epoch after epoch, until there is a reason to stop."""
    while len(state.epochs) < options.epochs:
        if not state.steps:
            state.begun = time.perf_counter()
        mean = train_epoch(state, batches, loss, progress, checkpointer.step)
        figures = _validate(state, validation, loss, score)
        seconds = time.perf_counter() - state.begun
        epoch = Epoch(len(state.epochs) + 1, mean, *figures, seconds)
        state.add(epoch, mean if validation is None else epoch.validation_loss)
        progress.epoch(epoch)
        if (stop := _reason(state, options)) is not None:
            return stop
    return "epochs"


def _validate(
    state: State, validation: Rows | None, loss: Loss, score: Score | None
) -> tuple[float, float]:
    if validation is None:
        return math.nan, math.nan
    outputs = state.sharing.predict(state.model, validation.inputs)
    value = float(loss(outputs, *validation.known))
    return value, value if score is None else score(outputs, *validation.known)


def _reason(state: State, options: Options) -> Stop | None:
    """Why no other epoch begins; None if one does."""
    last = state.epochs[-1]
    if not math.isfinite(last.loss):
        return "diverged"
    if last.number - (state.best.number if state.best else 0) >= options.patience:
        return "patience"
    if options.time_limit is not None:
        spent = state.sharing.processes.same(time.perf_counter() - state.started)
        if spent >= options.time_limit:
            return "time"
    return None


def _identity(
    model: nn.Module, batches: Batches, options: Options, sharing: Sharing | None
) -> dict[str, Any]:
    """What has to be the same for a training to go on."""
    shapes = {name: list(one.shape) for name, one in model.state_dict().items()}
    return {
        "versions": {package: version(package) for package in ("selfnorm", "torch")},
        "options": {**asdict(options), "time_limit": None},
        "model": shapes,
        "mini-batches": batches.steps,
        "slices": sharing.processes.number_of_slices if isinstance(sharing, SharedRows) else None,
    }
