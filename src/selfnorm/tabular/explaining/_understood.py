# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""What was understood of a table, in words: rows, columns, target, and who gets which rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from torch import Tensor

from selfnorm.report._numbers import digits
from selfnorm.tabular._source import Source
from selfnorm.tabular._suspicions import (
    equal_rows,
    heavy_tail,
    leaks,
    lost_classes,
    rare_classes,
)
from selfnorm.tabular.data._cells import numbers, text
from selfnorm.tabular.data._dates import example
from selfnorm.tabular.encoding._columns import Column
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.encoding._number import NumberColumn
from selfnorm.tabular.encoding._several import LabelsTarget, NumbersTarget, listed
from selfnorm.tabular.encoding._target import ClassTarget, Target
from selfnorm.tabular.stream._stream import Stream
from selfnorm.training import Rows

_SHOWN_IGNORED = 3
_DUPLICATED = 0.05  # a share of rows worth a word
_COLUMNS = 200
_LOOKED_AT = 10_000  # rows
_OUTPUTS = 20  # of a target of several
_BINS = 24
_LEVELS = 3


class Ready(Protocol):
    """A table that is ready to be learned from; `selfnorm.tabular._fit.Prepared` is one."""

    @property
    def source(self) -> Source:
        """The table."""
        ...

    @property
    def encoder(self) -> Encoder:
        """What was learned of its columns."""
        ...

    @property
    def target(self) -> Target:
        """The target."""
        ...

    @property
    def training(self) -> Rows:
        """Rows to train with."""
        ...

    @property
    def validation(self) -> Rows | None:
        """Rows to validate with."""
        ...

    @property
    def test(self) -> Source:
        """Rows to measure with."""
        ...

    @property
    def left_out(self) -> Tensor | None:
        """Who does not learn from each row to validate with."""
        ...

    @property
    def together(self) -> Tensor | None:
        """A number for each row to train with, the same for those that stay together."""
        ...

    @property
    def crossed(self) -> bool:
        """Whether the rows to train with validate, too."""
        ...

    @property
    def rows(self) -> int:
        """How many rows are trained with."""
        ...

    @property
    def streamed(self) -> Stream | None:
        """The rows to train with where they are read in parts."""
        ...


def understood(where: str, ready: Ready) -> list[tuple[str, str]]:
    """What was understood of a table, as pairs: what it is about, and a line."""
    encoder, source = ready.encoder, ready.source
    kinds = [column.kind for column in encoder.columns]
    counts = [
        (kinds.count("number"), "number", "numbers"),
        (kinds.count("category"), "category", "categories"),
        (kinds.count("presence"), "known or missing", "known or missing"),
        (len(encoder.ignored), "ignored", "ignored"),
    ]
    columns = ", ".join(f"{n} {one if n == 1 else many}" for n, one, many in counts if n)
    rows = len(source.values) if ready.streamed is None else ready.streamed.total
    dropped = f"; {source.dropped:,} without a target left out" if source.dropped else ""
    dropped += f"; {source.weightless:,} of weight 0 left out" if source.weightless else ""
    found = [
        ("Table", f"{where}: {rows:,} rows{dropped}"),
        ("Columns", f"{columns} -> {len(encoder.features)} features"),
    ]
    found += [
        ("", f"ignored {', '.join(names[:_SHOWN_IGNORED])}{_more(names)}: {reason}")
        for reason, names in encoder.reasons.items()
    ]
    found += [
        ("", f"{column.name}: dates as {example(column.written)}")
        for column in encoder.columns
        if isinstance(column, NumberColumn) and column.holds == "dates" and column.written
    ]
    found.append(("Target", _target(source, ready.target, rows)))
    if (weights := source.weights) is not None:
        ends = f"{digits(weights.min(), 4)} to {digits(weights.max(), 4)}"
        found.append(("Weights", f"{ends}, mean {digits(weights.mean(), 4)}"))
    if source.together is not None:
        found.append(("Groups", f"{len(np.unique(source.together)):,}, each on one side of splits"))
    found.append(("Rows", _rows(ready)))
    return found


def doubts(ready: Ready, *, shown: bool, copies: bool = True) -> list[str]:
    """What may have been meant otherwise, and what makes the figures too good.

    Args:
        ready: The table.
        shown: Whether what was understood is shown besides; else columns left out are told, too,
            and what leaves no doubt is not.
        copies: Whether copies that stay together are told: whoever draws rows with replacement, as
            bagging does, makes some on purpose.
    """
    source, encoder = ready.source, ready.encoder
    remarks = [remark.text for remark in encoder.remarks] if shown else encoder.told
    streamed = () if ready.streamed is None else (ready.streamed.told,)
    found = [*streamed, *source.notes, *remarks]
    for one in islice(source.single(), _OUTPUTS):
        found += filter(None, (leaks(one, ready.encoder.ignored), heavy_tail(one)))
        if ready.streamed is None and (source.several is None or source.several.words):
            found += filter(None, [rare_classes(one)])
    if ready.streamed is None and source.several is None and isinstance(ready.target, ClassTarget):
        found += filter(None, [lost_classes(source, ready.target.classes)])
    equal = equal_rows(ready.training) if copies or ready.together is None else 0.0
    if equal > _DUPLICATED:
        alike = f"{equal:.0%} of the rows equal another in all columns and the target."
        if ready.together is None:
            alike += (
                " If they are copies, figures on rows held out are too good: what is held out was "
                "seen as well."
            )
        elif source.together is None and source.times is None:
            alike += " They are taken for copies: those of one row are held out together."
        found.append(alike)
    return found


@dataclass(frozen=True)
class Summary:
    """A column, in short.

    Attributes:
        name: Its name.
        what: What it is, or why it is left out.
        missing: The share of rows without a value.
        levels: The most frequent values, of a category.
        edges: Where the bins of a histogram begin and end, of a number; else none.
        counts: How many rows each bin has.
    """

    name: str
    what: str
    missing: float
    levels: str
    edges: np.ndarray
    counts: np.ndarray


def summaries(table: pa.Table, encoder: Encoder) -> tuple[Summary, ...]:
    """The columns in short, by up to 10,000 rows; those in use come first, 200 at the most."""
    rows = np.linspace(0, table.num_rows - 1, min(table.num_rows, _LOOKED_AT)).astype(np.int64)
    none = np.zeros(0)
    found = [
        _summary(column, table[column.name].take(rows)) for column in encoder.columns[:_COLUMNS]
    ]
    for name, reason in encoder.ignored.items():
        if len(found) < _COLUMNS:
            found.append(Summary(name, f"left out: {reason}", np.nan, "", none, none))
    return tuple(found)


def _summary(column: Column, cells: pa.ChunkedArray) -> Summary:
    none = np.zeros(0)
    if isinstance(column, NumberColumn):
        values = numbers(column.name, cells, column.holds, column.written)
        known = values[~np.isnan(values)]
        counts, edges = np.histogram(known, _BINS) if len(known) else (none, none)
        lacking = float(np.isnan(values).mean())
        return Summary(column.name, column.holds, lacking, "", edges, counts)
    words = text(cells)
    lacking = words.null_count / max(len(words), 1)
    if column.kind == "presence":
        return Summary(column.name, "known or missing", lacking, "", none, none)
    counted = pc.value_counts(words.drop_null()).to_pylist()
    most = sorted(counted, key=lambda one: -one["counts"])
    named = ", ".join(f"{one['values']} {one['counts'] / len(words):.0%}" for one in most[:_LEVELS])
    levels = named + (", ..." if len(most) > _LEVELS else "")
    return Summary(column.name, f"category of {len(most)}", lacking, levels, none, none)


def _rows(ready: Ready) -> str:
    measured, stream = len(ready.test.values), ready.streamed
    judging = len(ready.validation) if ready.validation else 0
    chosen = f"{judging:,} to choose the best epoch"
    crossed = ready.crossed or stream is not None
    if crossed and ready.left_out is not None:  # these rows choose the best epoch, too
        members = ready.left_out.shape[1]
        by = " or ".join(map(str, sorted(set(ready.left_out.sum(1).tolist()))))
        some = "each" if ready.crossed else f"{judging:,}"
        chosen = f"{some} left out by {by} of {members} networks"
    when = "the latest " if ready.source.times is not None else ""
    apart = f", {when}{measured:,} held out to measure" if measured else ""
    if stream is not None and stream.held_out > measured:
        apart = f", {stream.held_out:,} held out, {measured:,} of them to measure"
    return f"{ready.rows:,} to train, {chosen}{apart}"


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - _SHOWN_IGNORED} more" if len(names) > _SHOWN_IGNORED else ""


def _target(source: Source, target: Target, rows: int) -> str:
    """What the target is; of more rows than are in memory, by what all of them told."""
    if isinstance(target, NumbersTarget | LabelsTarget):
        return _targets(source, target)
    some = rows > len(source.values)
    if isinstance(target, ClassTarget):
        _, counts = np.unique(source.values, return_counts=True)
        if some:
            counts = np.round(np.array(target.shares) * rows).astype(int)
        named = ", ".join(map(str, target.classes[:5])) + (", ..." if target.outputs > 5 else "")
        ends = dict.fromkeys(f"{count:,}" for count in (counts.min(), counts.max()))
        each = f"{' to '.join(ends)} row{'' if counts.max() == 1 else 's'} each"
        about = "about " if some else ""
        return f"{target.name}: {target.outputs} classes ({named}), {about}{each}"
    ends = (source.values.min(), source.values.max()) if target.ends is None else target.ends
    low, high = ends if some else (source.values.min(), source.values.max())
    return (
        f"{target.name}: a number, from {digits(low, 4)} to {digits(high, 4)}, "
        f"mean {digits(target.mean, 4)}"
    )


def _targets(source: Source, target: NumbersTarget | LabelsTarget) -> str:
    """What several targets are, and how many of their cells are empty."""
    words: Sequence[Any] = getattr(target, "words", None) or ()
    pairs = {" or ".join(map(_word, both)) for both in words}
    told = f" ({pairs.pop()})" if len(pairs) == 1 else ""
    kind = f"labels{told}" if isinstance(target, LabelsTarget) else "numbers"
    empty = float(np.isnan(source.values).mean())
    lacking = f"; {empty:.1%} of their cells are empty" if empty else ""
    return f"{target.outputs} {kind}: {listed(target.names, 5)}{lacking}"


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
