"""From a table to a trained model: read, hold out, encode, train, join, and measure."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from selfnorm.errors import ArgumentError, SelfNormWarning
from selfnorm.tabular._about import about
from selfnorm.tabular._device import torch_device
from selfnorm.tabular._distribution import Distribution
from selfnorm.tabular._evaluation import cross_fitted
from selfnorm.tabular._fit_checkpoint import FitCheckpoint, fit_checkpoint
from selfnorm.tabular._infinite import MOST_ROWS
from selfnorm.tabular._interval import errors_by_output
from selfnorm.tabular._join import joined
from selfnorm.tabular._memory import enough_memory, give_back
from selfnorm.tabular._model import TabularModel
from selfnorm.tabular._prepared import MOST_NUMBERS, PIECES, Prepared, Truth
from selfnorm.tabular._result import Result
from selfnorm.tabular._scaled import scale_alone
from selfnorm.tabular._settings import Settings
from selfnorm.tabular._source import Source, check_classes, file_of, name_of, read_source
from selfnorm.tabular._sparse_rows import Inputs
from selfnorm.tabular._together import Splits
from selfnorm.tabular._train import train_all
from selfnorm.tabular._weights import of_mean_1
from selfnorm.tabular.data._files import files_of
from selfnorm.tabular.data._remote import path_of
from selfnorm.tabular.data._split import deal
from selfnorm.tabular.encoding._copies import copies
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.encoding._targets import fit_target, widened
from selfnorm.tabular.explaining._seen import Looked, Seen
from selfnorm.tabular.explaining._understood import doubts
from selfnorm.tabular.stream._prepare import prepare_parts
from selfnorm.tabular.stream._size import available, in_words, needed
from selfnorm.training import Checkpoint, Processes, Progress, Rows
from selfnorm.training._processes import ALONE
from selfnorm.training._progress import SILENT
from selfnorm.training._sections import Section

_FEWEST_ROWS = 2


def fit(
    source: Any,
    settings: Settings | None = None,
    *,
    progress: Progress = SILENT,
    prepared: Callable[[Prepared], Settings | None] | None = None,
    checkpoint: Checkpoint | str | Path | None = None,
    processes: Processes = ALONE,
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
        checkpoint: Where to keep what is needed to go on after the process has died: a folder, in
            which there must be nothing to go on from, or a `selfnorm.training.Checkpoint`, which
            says more. It is removed at the end, unless Ctrl-C came. None keeps nothing. Of several
            processes the first alone reads and writes it.
        processes: Those that train together, `with Processes.joined() as processes`; all of them
            call this with the same table and settings, and get the same result.

    Returns:
        The model, how its training went, and its metrics; `Result.save` writes a model folder.

    Raises:
        TableError: the table cannot be read, or not be learned from.
        ArgumentError: the device is not one that torch can use, or there are too few rows.
        SelfNormError: the loss was never finite, or memory ran out.
        KeyboardInterrupt: Ctrl-C came before the first epoch was done.
        CheckpointError: the checkpoint is in use, or of another training.

    Example:
        >>> result = fit("wine", Settings(epochs=5))
        >>> result.metrics["accuracy"] > result.baseline["accuracy"]
        True
    """
    settings = settings or Settings()
    with fit_checkpoint(checkpoint, processes) as kept:
        result = _fit(source, settings, progress, prepared, kept, processes)
        kept.end(interrupted=result.history.stop == "interrupted")
    return result


def _fit(
    source: Any,
    settings: Settings,
    progress: Progress,
    prepared: Callable[[Prepared], Settings | None] | None,
    kept: FitCheckpoint,
    processes: Processes,
) -> Result:
    """As `fit`, with a checkpoint that is held."""
    distribution = Distribution.of(settings, processes)
    settings = replace(settings, device=processes.device(settings.device))
    ready = _from_parts(source, settings, kept, distribution)
    if ready is None:
        ready = replace(_from_memory(source, settings), distribution=distribution)
    processes.agree((ready.rows, ready.encoder.features), "rows and features of the table")
    kept.begin(ready, settings)
    if prepared is not None:
        settings = prepared(ready) or settings
    doubted = tuple(doubts(ready, shown=prepared is not None))
    for doubt in doubted:
        warnings.warn(doubt, SelfNormWarning, stacklevel=2)
    looked = Looked.at(name := name_of(source), ready, doubted)
    ready = ready.without_cells()
    give_back()
    result = fit_prepared(ready, settings, progress, kept.section("fit"))
    return replace(result, name=name, seen=Seen.of(looked, ready, result.model, result.told))


def _from_memory(source: Any, settings: Settings) -> Prepared:
    """A table that is read as a whole."""
    read = read_source(
        source,
        settings.target,
        task=settings.task,
        categories=settings.categories,
        missing=tuple(settings.missing),
        sample_weight=settings.sample_weight,
        group=settings.group,
        split_by_time=settings.split_by_time,
        on_error=settings.on_error,
    )
    give_back()
    return prepare(read, settings)


def _from_parts(
    source: Any, settings: Settings, kept: FitCheckpoint, distribution: Distribution
) -> Prepared | None:
    """A table in files that is larger than the memory it may take; None of any other."""
    file = file_of(source)
    if file is None:
        return None
    files = files_of(file.path) or (path_of(str(file.path)),)
    processes = distribution.processes
    memory = processes.same(available() if settings.memory is None else settings.memory)
    size = processes.same(needed(files))
    if size * processes.local_size <= memory:
        return None
    told = (
        f"In memory the table would take about {in_words(size * processes.local_size)}, and "
        f"{in_words(memory)} are allowed: it is read in parts."
    )
    make = partial(prepare_parts, files, file.encoding, settings, memory, told, distribution)
    return kept.parts(files, settings, memory, make, distribution)


def prepare(
    source: Source,
    settings: Settings,
    validation: Source | None = None,
    known: TabularModel | None = None,
) -> Prepared:
    """Hold out test and validation rows and encode the table by what the training rows show.

    Args:
        source: The columns to learn from and the target of every row.
        settings: The shares, the seed, the device and the columns' treatment count here.
        validation: Rows to validate with; None takes them from the source. If there are some, all
            networks learn from all rows of the source.
        known: A model whose encoding and target serve, so that its networks can go on.

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
    splits = Splits(source.strata, task, seed, together, source.times)
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
    encoder = (
        known.encoder
        if known is not None
        else Encoder.fit(
            source.table,
            learned[kept],
            categories=categories,
            ignore=settings.ignore,
            missing=tuple(settings.missing),
            pieces=PIECES if source.table.num_columns * len(kept) <= MOST_NUMBERS else 0,
        )
    )
    infinite = settings.joins and len(kept) <= MOST_ROWS and encoder.sparse is None
    if settings.infinite and settings.joins and not infinite:
        what = "a sparse table" if encoder.sparse is not None else f"{len(kept):,} rows"
        told = (
            f"Networks of infinite width were asked for, and do not join on {what}: they learn "
            f"from {MOST_ROWS:,} rows at the most, of a table that is not sparse. The others "
            "predict alone."
        )
        warnings.warn(told, SelfNormWarning, stacklevel=2)
    weights = None if source.weights is None else source.weights[learned]
    if known is None:
        target = fit_target(source.name, values, task, weights, source.several)
    else:
        target = widened(known.target, values)

    inputs = Inputs(encoder)

    def rows(part: Source, numbers: np.ndarray | None = None) -> Rows:
        matrix = inputs.of(part.table, numbers)
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
        strata = splits.values
        dealt = deal(strata, settings.members, task=task, seed=seed, together=together)
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
        sparse=inputs.sparse(device),
    )


def fit_prepared(
    ready: Prepared,
    settings: Settings,
    progress: Progress = SILENT,
    section: Section | None = None,
    start: TabularModel | None = None,
) -> Result:
    """Build the self-normalizing network of the settings, train it on prepared rows, measure it.

    Args:
        ready: The rows.
        settings: What to train, and how.
        progress: Who is told of it.
        section: What of it a checkpoint keeps; None keeps nothing.
        start: Networks go on from those of this model that have the same sizes.

    Raises:
        SelfNormError: the loss was never finite, or memory ran out.
        KeyboardInterrupt: Ctrl-C came before the first epoch was done.
    """
    known = None
    if start is not None:
        settings = settings.continued(start.architectures)
        known = dict(zip(start.architectures, start.finite, strict=True))
    fitting = settings if ready.sparse is None else settings.of_sparse
    chosen = fitting.portfolio(ready.rows)
    seeds = torch.Generator().manual_seed(settings.seed)
    with enough_memory():
        trained = train_all(ready, chosen, seeds, progress, section, known)
        first = trained[0]
        architectures, network = (chosen[0].architecture,), first.network
        blend = said = None
        if settings.members > 1:
            together = joined(
                [one.network for one in trained],
                ready.reading,
                ready.encoder,
                ready.target,
                ready.training,
                ready.validation,
                ready.left_out,
                infinite=ready.infinite,
                together=ready.together,
                section=section,
            )
            network, blend, said = together.network, together.blend, together.told
            architectures = tuple(trained[at].settings.architecture for at in together.kept)
        else:
            judges = ready.training if ready.validation is None else ready.validation
            said = scale_alone(first.network, ready.reading(first.network), ready.target, judges)
            said = None if ready.validation is None else said
    model = TabularModel(ready.encoder, ready.target, architectures, network, blend)
    measured, told, errors = model.measure(ready.test), None, ()
    if said is not None and ready.judged is not None:
        told, (values, weights) = ready.target.decode(said), ready.judged
        if not measured.rows and blend is not None:
            measured = cross_fitted(ready.target, values, told, weights)
        if ready.target.task == "regression":
            errors = errors_by_output(values, told.values, weights)
    columns = ready.source.table.column_names
    interrupted = any(one.history.stop == "interrupted" for one in trained)
    history = replace(first.history, stop="interrupted") if interrupted else first.history
    layers, how = (first.before, first.after), first.settings
    record = about(history, *layers, measured, errors, how, settings, columns)
    model = replace(model, about=record)
    crossed = told if ready.crossed else None
    return Result(model, history, *layers, first.observed, measured, how, crossed)
