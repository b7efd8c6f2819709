"""From a table to a trained model: read, hold out, encode, build, train, and watch the layers."""

import math
import time
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from selfnorm.errors import ArgumentError, SelfNormError, SelfNormWarning
from selfnorm.nn import MLP, SELUAlphaDropout
from selfnorm.recording import Observation
from selfnorm.tabular._about import about
from selfnorm.tabular._device import torch_device
from selfnorm.tabular._ensemble import Ensemble, Judged
from selfnorm.tabular._infinite import MOST_ROWS
from selfnorm.tabular._interval import Errors
from selfnorm.tabular._join import joined
from selfnorm.tabular._memory import enough_memory
from selfnorm.tabular._model import TabularModel, build_network, cross_fitted
from selfnorm.tabular._result import Result
from selfnorm.tabular._settings import Settings
from selfnorm.tabular._source import Source, check_classes, name_of, read_source
from selfnorm.tabular._together import Splits
from selfnorm.tabular._weights import of_mean_1
from selfnorm.tabular.data._split import deal
from selfnorm.tabular.encoding._copies import copies
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.encoding._target import Target, fit_target
from selfnorm.tabular.explaining._seen import Seen
from selfnorm.tabular.explaining._understood import doubts
from selfnorm.training import Folded, History, Options, Progress, Rows, Shuffled
from selfnorm.training import fit as train
from selfnorm.training._predict import predict
from selfnorm.training._progress import SILENT
from selfnorm.watch import monitor, observe

_WATCHED_ROWS = 1024
_FEWEST_ROWS = 2
_PIECES = 8  # of a number
_SHORTEST = 1e-9  # seconds that a limit can be
_MOST_NUMBERS = 1 << 24  # of a table in pieces, which then takes 576 MiB at the most


class Truth(NamedTuple):
    """What is known of rows, as it came: the target of each, and how much it counts."""

    values: np.ndarray
    weights: np.ndarray | None


@dataclass(frozen=True)
class Prepared:
    """A table made ready: the encoding, rows on the device to train with, and rows to test on."""

    source: Source
    encoder: Encoder
    target: Target
    training: Rows
    validation: Rows | None
    judged: Truth | None
    """Of every row to validate with."""
    test: Source
    left_out: Tensor | None = None
    """Of several networks, which do not learn from each row to validate with: (rows, networks),
    booleans. Unless a user gave others, these are the rows to train with."""
    infinite: bool = False
    """Whether infinitely wide networks join."""
    together: Tensor | None = None
    """A number for each row to train with, the same for those that stay together: of a group, of a
    stretch of time, or copies of one row. None if each stands by itself."""

    @property
    def crossed(self) -> bool:
        """Whether the rows to train with validate, too: each by who left it out."""
        return self.validation is self.training

    @property
    def device(self) -> torch.device:
        """The device that trains."""
        return self.training.inputs.device


def fit(
    source: Any,
    settings: Settings | None = None,
    *,
    progress: Progress = SILENT,
    prepared: Callable[[Prepared], Settings | None] | None = None,
) -> Result:
    """Train a deep self-normalizing network on a table.

    Tells classification from regression, standardizes numbers, encodes categories, handles missing
    values, holds out rows, trains, and measures on rows that training never saw. Nothing of the
    process is changed: torch's generators and number of threads stay, and trainings may run side
    by side in threads.

    Args:
        source: A CSV or Parquet file, the name of a built-in data set (`digits`, `breast-cancer`,
            `wine`, `diabetes`), or a table in memory: pandas, polars, Arrow.
        settings: What to learn and how; the defaults if None.
        progress: Who is told of the training.
        prepared: Called with what was understood of the table, before the training begins; it may
            return other settings to train by. What may have been meant otherwise is a
            `SelfNormWarning` each.

    Returns:
        The model, how its training went, and its metrics; `Result.save` writes a model folder.

    Raises:
        TableError: the table cannot be read, or not be learned from.
        ArgumentError: the device is not one that torch can use, or there are too few rows.
        SelfNormError: the loss was never finite, or memory ran out.
        KeyboardInterrupt: Ctrl-C came before the first epoch was done.

    Example:
        >>> result = fit("wine", Settings(epochs=5))
        >>> result.metrics["accuracy"] > result.baseline["accuracy"]
        True
    """
    settings = settings or Settings()
    read = read_source(
        source,
        settings.target,
        task=settings.task,
        categories=settings.categories,
        sample_weight=settings.sample_weight,
        group=settings.group,
        split_by_time=settings.split_by_time,
    )
    ready = prepare(read, settings)
    if prepared is not None:
        settings = prepared(ready) or settings
    doubted = tuple(doubts(ready, shown=prepared is not None))
    for doubt in doubted:
        warnings.warn(doubt, SelfNormWarning, stacklevel=2)
    result, name = fit_prepared(ready, settings, progress), name_of(source)
    seen = Seen.of(name, ready, result.model, result.told, doubted)
    return replace(result, name=name, seen=seen)


def prepare(source: Source, settings: Settings, validation: Source | None = None) -> Prepared:
    """Hold out test and validation rows and encode the table by what the training rows show.

    Args:
        source: The columns to learn from and the target of every row.
        settings: The shares, the seed, the device and the columns' treatment count here.
        validation: Rows to validate with; None takes them from the source. If there are some, all
            networks learn from all rows of the source.

    Raises:
        TableError: no column can be used.
        ArgumentError: the device is not one that torch can use; or a row to validate with is of a
            class that no other row has.
    """
    device = torch_device(settings.device)
    seed, task = settings.seed, source.task
    together = source.together
    if together is None and source.times is None:
        together = copies(source.table, settings.ignore)
    splits = Splits(source.values, task, seed, together, source.times)
    learned, test = splits.apart(settings.held_out(len(source.values)))
    values, splits = source.values[learned], splits.take(learned)
    several, given = settings.members > 1, validation is not None
    share = 0 if several or given else settings.validation
    kept, held = splits.apart(share)
    if len(kept) < _FEWEST_ROWS:
        raise ArgumentError(
            f"Training needs {_FEWEST_ROWS} rows or more; of {len(source.values)}, {len(test)} "
            f"and {len(held)} are held out to test and to validate. Hold out less, or add rows."
        )
    categories = set(settings.categories) - {source.name}
    infinite = settings.joins and len(kept) <= MOST_ROWS
    encoder = Encoder.fit(
        source.table,
        learned[kept],
        categories=categories,
        ignore=settings.ignore,
        pieces=_PIECES if source.table.num_columns * len(kept) <= _MOST_NUMBERS else 0,
    )
    weights = None if source.weights is None else source.weights[learned]
    target = fit_target(source.name, values, task, weights)

    def rows(part: Source) -> Rows:
        matrix, counts = torch.from_numpy(encoder.transform(part.table)), of_mean_1(part.weights)
        found = Rows(matrix, target.encode(part.values), counts)
        return found.map(lambda one: one.to(device))

    training, judges, judged, left_out = rows(source.take(learned[kept])), None, None, None
    together = splits.take(kept).labels(settings.members)
    if validation is None and len(held):
        validation = source.take(learned[held])
    if validation is not None:
        check_classes(validation, target)
        judges, judged = rows(validation), Truth(validation.values, validation.weights)
        if several:
            left_out = torch.ones(len(judges), settings.members, dtype=torch.bool)
    elif several and settings.validation:
        dealt = deal(values, settings.members, task=task, seed=seed, together=together)
        left_out = torch.from_numpy(dealt)
        judges, judged = training, Truth(values, weights)
    return Prepared(
        source,
        encoder,
        target,
        training,
        judges,
        judged,
        source.take(test),
        left_out,
        infinite,
        None if together is None else torch.from_numpy(together),
    )


def fit_prepared(ready: Prepared, settings: Settings, progress: Progress = SILENT) -> Result:
    """Build the self-normalizing network of the settings, train it on prepared rows, measure it.

    Raises:
        SelfNormError: the loss was never finite, or memory ran out.
        KeyboardInterrupt: Ctrl-C came before the first epoch was done.
    """
    chosen = settings.portfolio(len(ready.training))
    seeds = torch.Generator().manual_seed(settings.seed)
    with enough_memory():
        trained = _train_all(ready, chosen, seeds, progress)
        first = trained[0]
        architectures, network = (chosen[0].architecture,), first.network
        blend = said = None
        if settings.members > 1:
            together = joined(
                [one.network for one in trained],
                ready.encoder,
                ready.target,
                ready.training,
                ready.validation,
                ready.left_out,
                infinite=ready.infinite,
                together=ready.together,
            )
            network, blend, said = together.network, together.blend, together.told
            architectures = tuple(trained[at].settings.architecture for at in together.kept)
        elif ready.validation is not None:
            said = predict(network, ready.validation.inputs)
    model = TabularModel(ready.encoder, ready.target, architectures, network, blend)
    measured, told, errors = model.measure(ready.test), None, None
    if said is not None and ready.judged is not None:
        told, (values, weights) = ready.target.decode(said), ready.judged
        if not measured.rows and blend is not None:
            measured = cross_fitted(ready.target, values, told, weights)
        if ready.target.task == "regression":
            errors = Errors.of(values - told.values, weights)
    columns = ready.source.table.column_names
    interrupted = any(one.history.stop == "interrupted" for one in trained)
    history = replace(first.history, stop="interrupted") if interrupted else first.history
    layers, how = (first.before, first.after), first.settings
    record = about(history, *layers, measured, errors, how, settings, columns)
    model = replace(model, about=record)
    crossed = told if ready.crossed else None
    return Result(model, history, *layers, first.observed, measured, how, crossed)


class _Trained(NamedTuple):
    """Networks of one shape, and how their training went."""

    settings: Settings
    network: MLP
    history: History
    before: tuple[Observation, ...]
    after: tuple[Observation, ...]
    observed: tuple[Observation, ...]


def _train_all(
    ready: Prepared, chosen: Sequence[Settings], seeds: torch.Generator, progress: Progress
) -> list[_Trained]:
    """Networks of each shape, one shape after the other; a limit of time is for all together.

    Ctrl-C and a limit of time leave out what has not begun, but for the first; so does a loss that
    is never finite.
    """
    end = time.monotonic() + (chosen[0].time_limit or math.inf)
    found: list[_Trained] = []
    for at, settings in enumerate(chosen):
        left = (end - time.monotonic()) / (len(chosen) - at)
        if found and (found[-1].history.stop == "interrupted" or left <= 0):
            break
        limit = max(left, _SHORTEST) if math.isfinite(left) else None
        try:
            trained = _train(ready, replace(settings, time_limit=limit), seeds, progress)
        except KeyboardInterrupt:
            if not found:
                raise
            history = replace(found[-1].history, stop="interrupted")
            found[-1] = found[-1]._replace(history=history)
            break
        if not found:
            _check_finite(trained.history, settings.options)
        if math.isfinite(trained.history.best.loss):
            found.append(trained._replace(settings=settings))
    return found


def _train(
    ready: Prepared, settings: Settings, seeds: torch.Generator, progress: Progress
) -> _Trained:
    """Train networks of one shape; watch their activations at the start and at the end.

    With `settings.monitor`, watch all layers in every so many steps between, too.
    """
    network = build_network(ready.encoder, ready.target, settings.architecture, seeds)
    if ready.target.task == "regression":
        _start_at_mean(network)
    network.to(ready.device)
    stride = -(-len(ready.training) // _WATCHED_ROWS)  # a table may be sorted
    rows, watched = ready.training, ready.training.inputs[::stride]
    options = settings.options
    size, learner, judge = options.batch_rows(len(rows)), network, ready.target
    batches = Shuffled(rows, size)
    if network.members is not None:
        learner, judge = Ensemble([network]), Judged(ready.target, ready.left_out)
        left_out = ready.left_out if ready.crossed else None
        batches = Folded(rows, left_out, options.members, size)
    with _drawing_from(network, seeds):
        before = _observed(network, watched)
        watcher = monitor(network, max(settings.monitor, 1))
        with watcher if settings.monitor else nullcontext():
            history = train(
                learner,
                batches,
                ready.validation,
                loss=judge.loss,
                score=judge.score,
                options=options,
                generator=seeds,
                progress=progress,
            )
        after = _observed(network, watched)
    return _Trained(settings, network, history, before, after, tuple(watcher.records))


def _observed(network: nn.Module, rows: Tensor) -> tuple[Observation, ...]:
    """Every activation, with how far the weights before it are from orthogonal."""
    found = observe(network, rows, roles=("linear", "activation"), own_random=True)
    return tuple(
        replace(activation, gram_error=linear.gram_error)
        for linear, activation in zip(found[:-1:2], found[1::2], strict=True)
    )


@contextmanager
def _drawing_from(network: nn.Module, seeds: torch.Generator) -> Generator[None]:
    """Inside, dropout draws from a generator of its own, on the network's device."""
    dropouts = [module for module in network.modules() if isinstance(module, SELUAlphaDropout)]
    device = next(network.parameters()).device
    seed = int(torch.randint(2**63 - 1, (), generator=seeds, device="cpu"))
    generator = torch.Generator(device).manual_seed(seed)
    for module in dropouts:
        module.generator = generator
    try:
        yield
    finally:
        for module in dropouts:
            module.generator = None


def _start_at_mean(network: MLP) -> None:
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
