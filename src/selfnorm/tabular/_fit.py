"""From a table to a trained model: read, hold out, encode, train, join, and measure."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from selfnorm.errors import ArgumentError, SelfNormWarning
from selfnorm.tabular._about import about
from selfnorm.tabular._device import torch_device
from selfnorm.tabular._infinite import MOST_ROWS
from selfnorm.tabular._interval import Errors
from selfnorm.tabular._join import joined
from selfnorm.tabular._memory import enough_memory, give_back
from selfnorm.tabular._model import TabularModel, cross_fitted
from selfnorm.tabular._prepared import MOST_NUMBERS, PIECES, Prepared, Truth
from selfnorm.tabular._result import Result
from selfnorm.tabular._settings import Settings
from selfnorm.tabular._source import Source, check_classes, file_of, name_of, read_source
from selfnorm.tabular._together import Splits
from selfnorm.tabular._train import train_all
from selfnorm.tabular._weights import of_mean_1
from selfnorm.tabular.data._files import files_of
from selfnorm.tabular.data._split import deal
from selfnorm.tabular.encoding._copies import copies
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.encoding._target import fit_target
from selfnorm.tabular.explaining._seen import Looked, Seen
from selfnorm.tabular.explaining._understood import doubts
from selfnorm.tabular.stream._prepare import prepare_parts
from selfnorm.tabular.stream._size import available, in_words, needed
from selfnorm.training import Progress, Rows
from selfnorm.training._predict import predict
from selfnorm.training._progress import SILENT

_FEWEST_ROWS = 2


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
            `wine`, `diabetes`), or a table in memory: pandas, polars, Arrow. Several files of one
            table are a list of them, a folder, or a pattern such as `parts/*.parquet`. What takes
            more than `Settings.memory` is read in parts, epoch after epoch.
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
    ready = _from_parts(source, settings) or _from_memory(source, settings)
    if prepared is not None:
        settings = prepared(ready) or settings
    doubted = tuple(doubts(ready, shown=prepared is not None))
    for doubt in doubted:
        warnings.warn(doubt, SelfNormWarning, stacklevel=2)
    looked = Looked.at(name := name_of(source), ready, doubted)
    ready = ready.without_cells()
    give_back()
    result = fit_prepared(ready, settings, progress)
    return replace(result, name=name, seen=Seen.of(looked, ready, result.model, result.told))


def _from_memory(source: Any, settings: Settings) -> Prepared:
    """A table that is read as a whole."""
    read = read_source(
        source,
        settings.target,
        task=settings.task,
        categories=settings.categories,
        sample_weight=settings.sample_weight,
        group=settings.group,
        split_by_time=settings.split_by_time,
        on_error=settings.on_error,
    )
    give_back()
    return prepare(read, settings)


def _from_parts(source: Any, settings: Settings) -> Prepared | None:
    """A table in files that is larger than the memory it may take; None of any other."""
    file = file_of(source)
    if file is None:
        return None
    files = files_of(file.path) or (Path(str(file.path)),)
    memory = available() if settings.memory is None else settings.memory
    size = needed(files)
    if size <= memory:
        return None
    told = (
        f"A fit in memory would take about {in_words(size)}, and {in_words(memory)} are allowed: "
        "the table is read in parts."
    )
    return prepare_parts(files, file.encoding, settings, memory, told)


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
    give_back()
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
        pieces=PIECES if source.table.num_columns * len(kept) <= MOST_NUMBERS else 0,
    )
    weights = None if source.weights is None else source.weights[learned]
    target = fit_target(source.name, values, task, weights)

    def rows(part: Source, numbers: np.ndarray | None = None) -> Rows:
        matrix = torch.from_numpy(encoder.transform(part.table, numbers))
        every = slice(None) if numbers is None else numbers
        counts = None if part.weights is None else of_mean_1(part.weights[every])
        found = Rows(matrix, target.encode(part.values[every]), counts)
        return found.map(lambda one: one.to(device))

    training, judges, judged, left_out = rows(source, learned[kept]), None, None, None
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
    chosen = settings.portfolio(ready.rows)
    seeds = torch.Generator().manual_seed(settings.seed)
    with enough_memory():
        trained = train_all(ready, chosen, seeds, progress)
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
