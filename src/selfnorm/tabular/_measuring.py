"""What is kept of a table that is measured some rows at a time."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from selfnorm.tabular._evaluation import Evaluation
from selfnorm.tabular._forward import BLOCK, Teller
from selfnorm.tabular._metrics_of_several import measure_each, measure_several
from selfnorm.tabular._source import BEGIN, BlockPlace, Source
from selfnorm.tabular._tally import MOST, ClassTally, NumberTally, Tally
from selfnorm.tabular._truths import require_known
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.encoding._strange import Strange
from selfnorm.tabular.encoding._target import ClassTarget, NumberTarget, Prediction, Target


class Kept(NamedTuple):
    """All that is needed to go on behind some rows.

    Attributes:
        arrays: By name.
        record: All else, as plain JSON.
    """

    arrays: Mapping[str, np.ndarray]
    record: Mapping[str, Any]


class Measuring:
    """Figures of the rows so far, and the counts behind notes on their cells.

    Of one target these are sums, which do not grow with the rows. A table of several targets is
    measured as a whole.

    Args:
        encoder: Who knows which cells training had nothing like.
        target: What is predicted.
        most: Scores that are kept as they are, as `Ranks` has it.

    Attributes:
        place: How far the table was read.
        looked: How many rows it had so far, those without a target too.
    """

    def __init__(self, encoder: Encoder, target: Target, most: float = MOST) -> None:
        self._encoder, self._target = encoder, target
        self._tally: Tally | None = None
        if isinstance(target, ClassTarget):
            self._tally = ClassTally(target, most)
        elif isinstance(target, NumberTarget):
            self._tally = NumberTally(target)
        self._whole: tuple[np.ndarray, Prediction, np.ndarray | None] | None = None
        self._strange: list[Strange] | None = None
        self.place, self.looked = BEGIN, 0

    def add(self, truth: Source, told: Prediction | None, place: BlockPlace = BEGIN) -> None:
        """Some more rows; what they are told, or None where no target is known."""
        if told is not None:
            if self._tally is None:
                self._whole = truth.values, told, truth.weights
            else:
                self._tally.add(truth.values, told, truth.weights)
            found = self._encoder.strange(truth.table)
            before = self._strange or [Strange(0)] * len(found)
            self._strange = [one + more for one, more in zip(before, found, strict=True)]
        self.place, self.looked = place, self.looked + len(truth.values) + truth.dropped

    @property
    def rows(self) -> int:
        """How many rows with a target there were."""
        if self._whole is not None:
            return len(self._whole[0])
        return 0 if self._tally is None else self._tally.rows

    def found(self) -> Evaluation:
        """The figures of all rows.

        Raises:
            TableError: none of them has a target that the model knows.
        """
        strange = self._tally.strange if isinstance(self._tally, ClassTally) else []
        nothing = isinstance(self._tally, ClassTally) and self._tally.knows_none
        require_known(self._target, self.rows, self.looked, strange if nothing else [])
        return self.so_far

    @property
    def so_far(self) -> Evaluation:
        """The same, whatever they are; empty of no rows."""
        if not self.rows:
            return Evaluation({}, {}, 0)
        notes = tuple(self._encoder.notes_of(self._strange or []))
        if self._whole is not None:
            return self._of_several(notes, *self._whole)
        tally: Any = self._tally
        return Evaluation(
            tally.metrics,
            tally.baseline,
            tally.rows,
            (*notes, *tally.notes),
            by_class=tally.by_class if isinstance(tally, ClassTally) else None,
        )

    @property
    def kept(self) -> Kept:
        """All of it; nothing of several targets."""
        arrays, record = ({}, None) if self._tally is None else self._tally.state
        strange = None if self._strange is None else [asdict(one) for one in self._strange]
        place = {"place": list(self.place), "looked": self.looked}
        return Kept(arrays, {**place, "strange": strange, "tally": record})

    def take(self, kept: Kept) -> None:
        """The inverse of `kept`.

        Raises:
            KeyError, TypeError, ValueError: it is of something else.
        """
        record = kept.record
        if self._tally is None:
            return
        self._tally.take(kept.arrays, record["tally"])
        strange = record["strange"]
        self._strange = None if strange is None else [Strange(**one) for one in strange]
        self.place, self.looked = BlockPlace(*record["place"]), int(record["looked"])

    def _of_several(
        self,
        notes: tuple[str, ...],
        values: np.ndarray,
        told: Prediction,
        weights: np.ndarray | None,
    ) -> Evaluation:
        target: Any = self._target
        return Evaluation(
            measure_several(target, values, told, weights),
            measure_several(target, values, target.baseline(len(values)), weights),
            len(values),
            notes,
            by_output=measure_each(target, values, told, weights),
        )


def measured(
    truths: Iterator[tuple[BlockPlace, Source]],
    going: Measuring,
    teller: Callable[..., Teller],
    predicted: Callable[[pa.Table, Teller], Prediction],
) -> Iterator[None]:
    """Measure blocks of a table, and stop behind each.

    Args:
        truths: The blocks, with how far each brings the table.
        going: Who keeps the figures.
        teller: Tells who predicts, as `TabularModel.teller` does.
        predicted: What a table is told by whom.
    """
    if not (head := list(islice(truths, 2))):
        return
    many = going.looked or len(head) > 1 or any(len(one.values) > BLOCK for _, one in head)
    asked = teller(many=bool(many))
    for place, truth in chain(head, truths):
        told = predicted(truth.table, asked) if len(truth.values) else None
        going.add(truth, told, place)
        yield


EXACT = math.inf
"""Of rows that are in memory anyway."""
