# pyarrow.compute makes its functions when it is imported, out of the type checker's sight.
# pyright: reportAttributeAccessIssue=false
"""What is learned of a column as its rows go by, in memory that does not grow with them."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from selfnorm.tabular.data._cells import is_text, numbers, plain_numbers, text
from selfnorm.tabular.data._words import without_words
from selfnorm.tabular.stream._levels import Levels
from selfnorm.tabular.stream._moments import Moments
from selfnorm.tabular.stream._quantiles import Quantiles

_MOSTLY = 0.9


class Column:
    """A column of features: how many values are missing, their levels or their quantiles.

    Args:
        name: Its name.
        kind: Its type.
        category: Whether it is one whatever it holds.

    Attributes:
        rows: How many came.
        absent: How many of them have no value.
        levels: How often each text stands there; None where it is known that all are numbers.
        quantiles: The numbers; None where they are none.
        strange: How many texts are no numbers.
        slip: One of them.
    """

    def __init__(self, name: str, kind: pa.DataType, *, category: bool) -> None:
        self.name, self.kind = name, kind
        self.rows = self.absent = 0
        self.slip: str | None = None
        self.strange = 0
        self._worded = category or is_text(kind) or pa.types.is_null(kind)
        self.levels = Levels() if self._worded else None
        self.quantiles = None if category else Quantiles()

    def add(self, column: pa.ChunkedArray) -> None:
        """Some rows come.

        Raises:
            TableError: a number is infinite.
        """
        self.rows += len(column)
        if not self._worded:
            values = numbers(self.name, column)
            known = values[~np.isnan(values)]
            self.absent += len(values) - len(known)
            if self.quantiles is not None:
                self.quantiles.add(known)
            return
        cells = text(column)
        self.absent += cells.null_count
        counted = pc.value_counts(cells.drop_null())
        values, counts = counted.field("values"), counted.field("counts").to_numpy()
        if self.quantiles is not None:
            self._add_numbers(values, counts)
        if self.levels is not None:
            self.levels.add(values.to_pylist(), counts.tolist())
        self._settle()

    def merge(self, other: "Column") -> None:
        """Those of other rows of the column come."""
        self.rows += other.rows
        self.absent += other.absent
        self.slip = self.slip or other.slip
        self.strange += other.strange
        if self.quantiles is not None and other.quantiles is not None:
            self.quantiles.merge(other.quantiles)
        else:
            self.quantiles = None
        if self.levels is not None and other.levels is not None:
            self.levels.merge(other.levels)
        else:
            self.levels = None
        self._settle()

    @property
    def complete(self) -> bool:
        """Whether each text of the column is among the levels, with its count."""
        return self.levels is not None and not self.levels.lost

    def _add_numbers(self, values: pa.Array, counts: np.ndarray) -> None:
        """Distinct texts, of which those that are plain numbers count."""
        known = without_words(values)
        parsed = plain_numbers(known)
        strange = (pc.is_valid(known).to_numpy(False)) & (pc.is_null(parsed).to_numpy(False))
        if strange.any():
            self.strange += int(counts[strange].sum())
            self.slip = self.slip or str(values[int(strange.argmax())])
        plain = parsed.to_numpy(zero_copy_only=False)
        right = np.isfinite(plain)
        if self.quantiles is not None:
            self.quantiles.add(plain[right], counts[right])

    def _settle(self) -> None:
        """Forget texts where all are numbers, and numbers where most are none."""
        if self.levels is not None and self.levels.lost and not self.strange and self.quantiles:
            self.levels = None
        if self.strange > (1 - _MOSTLY) * self.rows and self.levels is not None:
            self.quantiles = None


class TargetColumn:
    """The target: how often each value stands there and weighs, and the moments of its numbers.

    Args:
        name: Its name.
        kind: Its type.
        category: Whether its values are classes whatever they are.

    Attributes:
        rows: How many came; all have a value.
        levels: How often each value stands there.
        weighed: What the rows of each weigh together, as long as `levels` has them all.
        moments: Those of its numbers.
        numbers: How many are numbers.
        slip: A text that is none.
    """

    def __init__(self, name: str, kind: pa.DataType, *, category: bool) -> None:
        self.name, self.kind, self.category = name, kind, category
        self.rows = self.numbers = 0
        self.levels, self.weighed = Levels(), Levels()
        self.moments = Moments()
        self.slip: str | None = None

    @property
    def is_text(self) -> bool:
        """Whether it holds text, or is taken for it."""
        return self.category or is_text(self.kind)

    def add(self, column: pa.ChunkedArray, weights: np.ndarray | None) -> None:
        """Some rows come, and how much each counts."""
        self.rows += len(column)
        cells = text(column) if self.is_text else column
        coded = pc.dictionary_encode(cells).combine_chunks()
        codes, values = coded.indices.to_numpy(), coded.dictionary.to_pylist()
        if not self.levels.lost:
            self.levels.add(values, np.bincount(codes, minlength=len(values)).tolist())
            self.weighed.add(values, np.bincount(codes, weights, len(values)).tolist())
        parsed = plain_numbers(without_words(cells)).to_numpy() if self.is_text else None
        if parsed is None:
            parsed = numbers(self.name, column)
        right = np.isfinite(parsed)
        self.numbers += int(right.sum())
        if not right.all() and self.is_text:
            self.slip = self.slip or str(cells[int((~right).argmax())])
        self.moments += Moments.of(parsed[right], None if weights is None else weights[right])

    def merge(self, other: "TargetColumn") -> None:
        """Those of other rows come."""
        self.rows += other.rows
        self.numbers += other.numbers
        self.slip = self.slip or other.slip
        self.levels.merge(other.levels)
        self.weighed.merge(other.weighed)
        self.moments += other.moments
