"""From a saved model and a table to predictions, a block of rows at a time, without torch."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from selfnorm.errors import TableError
from selfnorm.tabular._forward import BLOCK, Networks, Teller
from selfnorm.tabular._model_file import Saved, read_model
from selfnorm.tabular._output import check_finite, prediction_table
from selfnorm.tabular._source import BEGIN, BlockPlace, in_its_file, placed_blocks_for
from selfnorm.tabular.data._table import behind
from selfnorm.tabular.encoding._prediction import Prediction
from selfnorm.tabular.encoding._strange import Strange


class Done(NamedTuple):
    """How far the rows of a table are predicted.

    Attributes:
        place: Behind which block.
        rows: How many there were.
        strange: What was strange in them, of each column that is looked at.
    """

    place: BlockPlace = BEGIN
    rows: int = 0
    strange: Sequence[Strange] = ()


NONE = Done()


class Predictions:
    """The predictions of a table's rows, in tables of some of them; iterate once.

    Up to 8,192 rows are told by NumPy in float64, as `TabularModel.predict` tells them, and torch
    is not imported, which takes longer than that. More are told by torch in float32.

    Args:
        model: A model folder, or a `.snn` file.
        source: A file, or a table in memory.
        done: Rows that are predicted already; those behind them follow.

    Attributes:
        done: The same with the rows that were told so far.

    Raises:
        ModelFolderError: the model cannot be read.
        TableError: the table cannot be read; later also when it is iterated over.
    """

    def __init__(self, model: str | Path, source: Any, done: Done = NONE) -> None:
        self._saved, self._source = read_model(model), source
        saved = self._saved
        blocks = placed_blocks_for(source, saved.target, saved.encoder, done.place)
        head = list(islice(blocks, 2))
        few = not done.rows and len(head) < 2 and head[0][1].num_rows <= BLOCK
        self._blocks = chain(head, blocks)
        self._teller = Teller(Networks(saved)) if few or not head else _by_torch(saved)
        strange = done.strange if done.rows else saved.encoder.strange(head[0][1].slice(0, 0))
        self.done = done._replace(strange=strange)

    def __iter__(self) -> Iterator[pa.Table]:
        for place, block in self._blocks:
            try:
                prediction = self._predicted(block)
            except TableError as error:
                told = in_its_file(self._source, place, error)
                raise behind(self.rows, told) from error
            found = zip(self.done.strange, self._saved.encoder.strange(block), strict=True)
            strange = [one + more for one, more in found]
            self.done = Done(place, self.rows + block.num_rows, strange)
            yield prediction_table(self._saved.target, prediction)

    @property
    def rows(self) -> int:
        """How many rows were told so far."""
        return self.done.rows

    @property
    def notes(self) -> list[str]:
        """What a user should know of the rows so far: cells that training had nothing like."""
        return self._saved.encoder.notes_of(self.done.strange)

    def _predicted(self, block: pa.Table) -> Prediction:
        prediction = self._saved.target.decode(self._teller.of(self._saved.encoder, block))
        check_finite(prediction)
        return prediction


def _by_torch(saved: Saved) -> Teller:
    """The networks in float32, by torch and the kernels of this library."""
    from selfnorm.tabular._storage import model_of  # noqa: PLC0415 - torch, which takes seconds

    return model_of(saved).teller(many=True)
