"""A table in parts made ready to train on: one pass, and the rows that stay in memory."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from selfnorm.errors import ArgumentError, TableError
from selfnorm.tabular._device import torch_device
from selfnorm.tabular._distribution import TOGETHER, Distribution
from selfnorm.tabular._memory import give_back
from selfnorm.tabular._prepared import MOST_NUMBERS, PIECES, Prepared, Truth
from selfnorm.tabular._settings import Settings
from selfnorm.tabular._source import Source
from selfnorm.tabular._weights import of_mean_1
from selfnorm.tabular.data._table import require_column
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.encoding._target import Target
from selfnorm.tabular.stream._budget import SAMPLE_SHARE, Budget
from selfnorm.tabular.stream._deal import Key, deal_to_learn, without
from selfnorm.tabular.stream._learn import learn_encoder
from selfnorm.tabular.stream._parts import Part, open_parts
from selfnorm.tabular.stream._reading import Reading
from selfnorm.tabular.stream._sample import Sample
from selfnorm.tabular.stream._shared import shared_pass
from selfnorm.tabular.stream._statistics import Pass, Statistics
from selfnorm.tabular.stream._stream import Stream
from selfnorm.tabular.stream._target import learn_target
from selfnorm.training import Rows

_KEPT_ROWS = 1 << 16  # in memory, to judge networks by; and as many to measure with
_MOST_ROWS = 8192  # that are encoded at once


def prepare_parts(
    files: Sequence[Path],
    encoding: str | None,
    settings: Settings,
    memory: float,
    told: str,
    distribution: Distribution = TOGETHER,
) -> Prepared:
    """Go over all parts once, learn the encoding, and take the rows that judge into memory.

    Which rows are held out, judge, or are learned from is told by a hash of each row's number.

    Args:
        files: The parts.
        encoding: That of text; None for UTF-8.
        settings: As for a table in memory.
        memory: Bytes that rows, who reads them, and networks may take; where that is less than they
            take at the least, so much.
        told: Why the table is read in parts.
        distribution: Who shares the pass, and the rows of each mini-batch.

    Raises:
        TableError: a part cannot be read, or the table not be learned from.
        ArgumentError: the device is not one that torch can use, there are too few rows, or rows
            are to be split by group or by time.
    """
    if settings.group is not None or settings.split_by_time is not None:
        raise ArgumentError(
            f"Rows are split by group or by time where the table is in memory. {told} Allow more "
            "memory, or leave the column out."
        )
    device = torch_device(settings.device)
    parts = open_parts(files, encoding, settings.on_error, tuple(settings.missing))
    target, names = _target_of(parts, settings), parts[0].schema.names
    test = settings.held_out(sum(part.rows for part in parts))
    if settings.test is None:
        test = min(test, _KEPT_ROWS / max(1, sum(part.rows for part in parts)))
    shared = distribution.processes.number_of_slices if distribution.by == "rows" else 1
    features = 1 + _pieces(len(names), sum(part.rows for part in parts))
    budget = Budget.of(parts, settings, memory, features, shared)
    told += budget.told(memory)
    reading = Reading(
        parts, target, settings.sample_weight, settings.seed, budget.rows, budget.readers
    )
    size = int(budget.rest / SAMPLE_SHARE)
    going = Pass(reading, test, settings.categories, settings.ignore, _KEPT_ROWS, size)
    counts = None
    if distribution.by is None and settings.distribute is None:
        found, read = going.run(settings.on_error)
    else:
        found, read, counts = shared_pass(going, settings.on_error, distribution.processes)
    give_back()
    reading = replace(reading, parts=read)
    dealt = counts if distribution.by == "rows" else None
    ready = _prepared(found, reading, settings, device, budget.rest, test, told, dealt)
    return replace(ready, distribution=distribution)


def _prepared(
    found: Statistics,
    reading: Reading,
    settings: Settings,
    device: torch.device,
    memory: float,
    test: float,
    told: str,
    counts: dict[Key, np.ndarray] | None,
) -> Prepared:
    """What a pass has found, made ready; of rows that are shared, with how many are where."""
    name, weight = reading.target, reading.weight
    keys, numbers, sample = found.sample.rows()
    if sample is None or found.target.rows < 2:
        raise ArgumentError(
            f"Training needs 2 rows or more; there are {found.target.rows}, {found.held_out} are "
            f"held out to measure, and the target is missing in {found.dropped}. Hold out less, or "
            "add rows."
        )
    guessed = reading.parts[0].kind == "text"
    reader, target, notes = learn_target(found.target, sample[name], settings.task, guessed=guessed)
    rows = found.target.rows if reader.worded else found.target.numbers or found.target.rows
    columns = sample.num_columns - 1
    encoder = learn_encoder(
        reading.parts,
        found.columns,
        sample,
        categories=[one for one in settings.categories if one != name],
        ignore=settings.ignore,
        used=[name, *([weight] if weight else [])],
        pieces=_pieces(columns, rows),
    )
    low, high, total = found.weights
    stream = Stream(
        reading=reading,
        encoder=encoder,
        target=target,
        reader=reader,
        total=rows + found.held_out,
        rows=rows,
        held_out=found.held_out,
        dropped=found.dropped,
        weightless=found.weightless,
        test=test,
        judged=0,
        bound=0.0,
        share=0.0,
        weight=total / found.target.rows if weight and low < high else None,
        memory=memory,
        told=told,
    )
    source = _source(sample, stream, notes)
    judges = _judges(keys, stream, settings)
    stream = replace(
        stream,
        judged=len(judges),
        bound=float(np.nextafter(keys[judges].max(), 2)) if len(judges) else 0.0,
    )
    several = settings.members > 1
    if not several:
        stream = replace(stream, rows=rows - len(judges))
    if counts is not None:
        stream = _dealt(stream, counts, numbers[judges] if not several else judges[:0])
    validation, judged, left_out = None, None, None
    if len(judges):
        by = source.take(judges)
        validation = _rows(by, encoder, target, device)
        judged = Truth(by.values, by.weights)
        if several:
            dealt = stream.left_out(numbers[judges], settings.members)
            share = float(dealt.mean()) * len(judges) / rows
            left_out, stream = torch.from_numpy(dealt), replace(stream, share=share)
    if several and validation is not None:
        training = replace(validation)  # the same rows, of the same memory, that judge as well
    else:
        others = np.setdiff1d(np.arange(len(keys)), judges)
        some = np.sort(others[np.argsort(keys[others], kind="stable")[: _most(stream, settings)]])
        training = _rows(source.take(some), encoder, target, device)
    measured = _measured(found.test, stream, source)
    return Prepared(
        source=replace(source, dropped=stream.dropped, weightless=stream.weightless),
        encoder=encoder,
        target=target,
        training=training,
        validation=validation,
        judged=judged,
        test=measured,
        left_out=left_out,
        streamed=stream,
    )


def _dealt(stream: Stream, counts: dict[Key, np.ndarray], judges: np.ndarray) -> Stream:
    """The same with its row groups dealt to slices of mini-batches; judges are not learned from."""
    parts = stream.reading.parts
    readers = len(next(iter(counts.values())))
    lanes, rows = deal_to_learn(parts, without(counts, parts, judges, readers), readers)
    return replace(stream, lanes=tuple(map(tuple, lanes)), lane_rows=tuple(rows))


def _target_of(parts: Sequence[Part], settings: Settings) -> str:
    names = parts[0].schema.names
    if settings.target is None:
        raise TableError(
            "Training needs to know which column to predict; name it as the target. The last "
            f"columns are: {', '.join(names[-8:])}.",
            options=("--target",),
        )
    if not isinstance(settings.target, str):
        raise ArgumentError(
            f"Several targets are learned from a table in memory; {len(settings.targets)} came for "
            "one that is read in parts. Allow more memory, or fit one target at a time."
        )
    require_column(settings.target, names)
    if settings.sample_weight is not None:
        others = [name for name in names if name != settings.target]
        require_column(settings.sample_weight, others)
    return settings.target


def _judges(keys: np.ndarray, stream: Stream, settings: Settings) -> np.ndarray:
    """Which rows of the sample judge networks: those with the least hashes.

    A single network does not learn from them, so that they are half of the sample at the most.
    """
    if not settings.validation:
        return np.empty(0, np.int64)
    most = min(len(keys), _most(stream, settings))
    if settings.members == 1:
        most = min(most, max(1, round(settings.validation * stream.rows)), len(keys) // 2)
    return np.sort(np.argsort(keys, kind="stable")[:most])


def _pieces(columns: int, rows: int) -> int:
    return PIECES if columns * rows <= MOST_NUMBERS else 0


def _most(stream: Stream, settings: Settings) -> int:
    """How many rows may be in memory, encoded, and with what all networks say of them."""
    row = 4 * (len(stream.encoder.features) + settings.members * stream.target.outputs)
    return max(1, int(stream.memory / SAMPLE_SHARE / row))


def _source(table: pa.Table, stream: Stream, notes: tuple[str, ...] = ()) -> Source:
    """Rows in memory, with their target."""
    name, weight = stream.reading.target, stream.reading.weight
    values = stream.reader(table[name])
    known = np.flatnonzero(stream.reader.known(values))
    weights = None
    if weight is not None and stream.weight is not None:
        weights = table[weight].to_numpy()[known]
    table = table.drop_columns([name, *([weight] if weight else [])]).take(known)
    values = stream.reader.labels(values[known])
    return Source(table, values, name, stream.target.task, 0, weights, 0, notes)


def _rows(part: Source, encoder: Encoder, target: Target, device: torch.device) -> Rows:
    matrix, counts = torch.from_numpy(encoder.transform(part.table)), of_mean_1(part.weights)
    found = Rows(matrix, target.encode(part.values), counts)
    # Copied, as the bits of BLAS's products depend on where their operands begin, which torch
    # aligns; whoever goes on from a checkpoint has these rows from a file.
    return found.map(lambda one: one.to(device, copy=True))


def _measured(sample: Sample, stream: Stream, like: Source) -> Source:
    """The rows to measure with; whether they can be encoded shows now and not after training."""
    _, _, table = sample.rows()
    if table is None:
        return like.take(np.empty(0, np.int64))
    found = _source(table, stream)
    for _ in stream.encoder.blocks(found.table, _MOST_ROWS):
        pass
    return found
