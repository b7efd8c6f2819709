"""Networks of each shape, built and trained on rows that are ready; their layers are watched."""

import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import astuple, replace
from functools import partial
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from selfnorm.errors import SelfNormError
from selfnorm.nn import MLP, SELUAlphaDropout
from selfnorm.recording import Observation
from selfnorm.tabular._distribution import Distribution
from selfnorm.tabular._ensemble import Ensemble, Judged, JudgedAlone
from selfnorm.tabular._memory import give_back
from selfnorm.tabular._model import build_network
from selfnorm.tabular._out_of_fold import OutOfFold
from selfnorm.tabular._settings import Architecture, Settings
from selfnorm.tabular._sparse_rows import Reading
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.encoding._target import Target
from selfnorm.training import Batches, History, Options, Progress, Rows
from selfnorm.training._checkpointer import Own
from selfnorm.training._loop import fit_section as train
from selfnorm.training._sections import Section
from selfnorm.watch import Monitor, monitor, observe

_SHORTEST = 1e-9  # seconds that a limit can be


class Ready(Protocol):
    """Rows ready to train with, and what they are."""

    @property
    def encoder(self) -> Encoder:
        """Who encoded the rows."""
        ...

    @property
    def target(self) -> Target:
        """What outputs stand for."""
        ...

    @property
    def validation(self) -> Rows | None:
        """Rows to validate with; None if there are none."""
        ...

    @property
    def left_out(self) -> Tensor | None:
        """Of several networks, which do not learn from each of these: (rows, networks)."""
        ...

    @property
    def scoring(self) -> Callable[..., Tensor] | None:
        """What chooses the epoch in place of the loss; None if nothing does."""
        ...

    @property
    def watched(self) -> Tensor:
        """Inputs of rows from all over the table, on which the layers are watched."""
        ...

    @property
    def device(self) -> torch.device:
        """The device that trains."""
        ...

    @property
    def distribution(self) -> Distribution:
        """How processes share the training."""
        ...

    def batches(self, options: Options) -> Batches:
        """The rows to train with, in mini-batches."""
        ...

    def reading(self, network: MLP) -> nn.Module:
        """What reads the inputs of a network's rows."""
        ...


class Trained(NamedTuple):
    """Networks of one shape, and how their training went."""

    settings: Settings
    network: MLP
    history: History
    before: tuple[Observation, ...]
    after: tuple[Observation, ...]
    observed: tuple[Observation, ...]


def train_all(
    ready: Ready,
    chosen: Sequence[Settings],
    seeds: torch.Generator,
    progress: Progress,
    section: Section | None = None,
    start: Mapping[Architecture, nn.Module] | None = None,
) -> list[Trained]:
    """Networks of each shape, one shape after the other; a limit of time is for all together.

    Ctrl-C and a limit of time leave out what has not begun, but for the first; so does a loss that
    is never finite. Those that a section of a checkpoint holds are not trained again. In `start`
    are networks that those of the same sizes go on from.
    """
    end = time.monotonic() + (chosen[0].time_limit or math.inf)
    found: list[Trained] = []
    for at, settings in enumerate(chosen):
        left = ready.distribution.processes.same(end - time.monotonic()) / (len(chosen) - at)
        if found and (found[-1].history.stop == "interrupted" or left <= 0):
            break
        limit = max(left, _SHORTEST) if math.isfinite(left) else None
        own = None if section is None else section.section(f"network{at}")
        if own is not None and ready.distribution.by == "members":
            own = own.of_process()
        before = own is not None and own.found[1]
        try:
            known = (start or {}).get(settings.architecture)
            limited = replace(settings, time_limit=limit)
            trained = _train(ready, limited, seeds, progress, own, known)
        except KeyboardInterrupt:
            if not found:
                raise
            history = replace(found[-1].history, stop="interrupted")
            found[-1] = found[-1]._replace(history=history)
            break
        if before:
            end -= trained.history.seconds
        if not found:
            _check_finite(trained.history, settings.options)
        if math.isfinite(trained.history.best.loss):
            found.append(trained._replace(settings=settings))
        give_back()
    return found


def _train(
    ready: Ready,
    settings: Settings,
    seeds: torch.Generator,
    progress: Progress,
    section: Section | None,
    start: nn.Module | None = None,
) -> Trained:
    """Train networks of one shape; watch their activations at the start and at the end.

    With `settings.monitor`, watch all layers in every so many steps between, too.
    """
    network = build_network(ready.encoder, ready.target, settings.architecture, seeds)
    if ready.target.task == "regression":
        start_at_mean(network)
    if start is not None:
        network.load_state_dict(start.state_dict())
    network.to(ready.device)
    options = settings.options
    progress.built(network)
    batches = ready.batches(options)
    seed, masks = masks_from(seeds, ready.device)
    with drawing_from(network, masks):
        before = observed(network, ready.watched)
        watcher = monitor(network, max(settings.monitor, 1))
        shared = ready.distribution.shared(network, masks, seed)
        with watcher if settings.monitor else nullcontext(), shared as (own, sharing):
            reader = ready.reading(own)
            learner, judge = reader, JudgedAlone(ready.target, ready.scoring)
            validation = ready.validation
            if own.members is not None:
                learner = Ensemble([reader])
                asked = _asked(ready)
                validation = validation if asked is None else asked.rows
                judge = Judged(ready.target, ready.left_out, ready.scoring, asked)
            history = train(
                learner,
                batches,
                validation,
                judge.loss,
                judge.score,
                options,
                seeds,
                progress,
                section,
                Own(partial(_seen_by, watcher), partial(_let_go_on, watcher)),
                sharing,
            )
            if isinstance(reader, Reading):
                reader.finish()
        after = observed(network, ready.watched)
    return Trained(settings, network, history, before, after, tuple(watcher.records))


def _asked(ready: Ready) -> OutOfFold | None:
    """What members are asked, where one process does all; None if that is about all rows."""
    if ready.validation is None or ready.left_out is None or ready.distribution.by is not None:
        return None
    return OutOfFold.of(ready.validation, ready.left_out)


def _seen_by(watcher: Monitor) -> dict[str, Any]:
    """What a monitor has seen so far, as plain JSON."""
    watcher.collect()
    return {"steps": watcher.steps, "records": [astuple(one) for one in watcher.records]}


def _let_go_on(watcher: Monitor, seen: Mapping[str, Any]) -> None:
    watcher.steps = seen["steps"]
    watcher.records = [Observation(*one) for one in seen["records"]]


def observed(network: nn.Module, rows: Tensor) -> tuple[Observation, ...]:
    """Every activation, with how far the weights before it are from orthogonal."""
    found = observe(network, rows, roles=("linear", "activation"), own_random=True)
    return tuple(
        replace(activation, gram_error=linear.gram_error)
        for linear, activation in zip(found[:-1:2], found[1::2], strict=True)
    )


def masks_from(seeds: torch.Generator, device: torch.device) -> tuple[int, torch.Generator]:
    """Where a network's dropout draws from, on its device, and the seed with which that begins."""
    seed = int(torch.randint(2**63 - 1, (), generator=seeds, device="cpu"))
    return seed, torch.Generator(device).manual_seed(seed)


@contextmanager
def drawing_from(network: nn.Module, generator: torch.Generator) -> Generator[None]:
    """Inside, dropout draws from a generator of its own, on the network's device."""
    dropouts = [module for module in network.modules() if isinstance(module, SELUAlphaDropout)]
    for module in dropouts:
        module.generator = generator
    try:
        yield
    finally:
        for module in dropouts:
            module.generator = None


def start_at_mean(network: MLP) -> None:
    """Let the first predictions be the mean, not noise of variance 1 that few rows cannot unlearn.

    Only the output layer's weights start at zero; the hidden layers stay LeCun-normal. Classes do
    not need it, and without it their hidden layers stay nearer to variance 1.
    """
    nn.init.zeros_(network.get_parameter("output.weight"))


def _check_finite(history: History, options: Options) -> None:
    """Raise if no epoch of a training had a finite loss.

    Raises:
        SelfNormError: then.
    """
    if not math.isfinite(history.best.loss):
        raise SelfNormError(
            "Training needs a finite loss; it was not finite in the first epoch. Try a smaller "
            f"learning rate than {options.learning_rate:g}."
        )
