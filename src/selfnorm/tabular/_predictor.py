"""From a saved model and a table to predictions, a block of rows at a time, without torch."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from selfnorm.errors import TableError
from selfnorm.tabular._forward import BLOCK, Networks, Teller
from selfnorm.tabular._model_file import Saved, read_model
from selfnorm.tabular._output import check_finite, prediction_table
from selfnorm.tabular._source import blocks_for
from selfnorm.tabular.data._table import behind
from selfnorm.tabular.encoding._target import Prediction


class Predictions:
    """The predictions of a table's rows, in tables of some of them; iterate once.

    Up to 8,192 rows are told by NumPy in float64, as `TabularModel.predict` tells them, and torch
    is not imported, which takes longer than that. More are told by torch in float32.

    Args:
        model: A model folder, or a `.snn` file.
        source: A file, or a table in memory.

    Attributes:
        rows: How many rows were told so far.

    Raises:
        ModelFolderError: the model cannot be read.
        TableError: the table cannot be read; later also when it is iterated over.
    """

    def __init__(self, model: str | Path, source: Any) -> None:
        self._saved = saved = read_model(model)
        blocks = blocks_for(source, saved.target, saved.encoder)
        head = [block for _, block in zip(range(2), blocks, strict=False)]
        few = len(head) < 2 and head[0].num_rows <= BLOCK
        self._blocks = chain(head, blocks)
        self._teller = Teller(Networks(saved)) if few else _by_torch(saved)
        self._strange = saved.encoder.strange(head[0].slice(0, 0))
        self.rows = 0

    def __iter__(self) -> Iterator[pa.Table]:
        for block in self._blocks:
            try:
                prediction = self._predicted(block)
            except TableError as error:
                raise behind(self.rows, error) from error
            self.rows += block.num_rows
            yield prediction_table(self._saved.target, prediction)

    @property
    def notes(self) -> list[str]:
        """What a user should know of the rows so far: cells that training had nothing like."""
        return self._saved.encoder.notes_of(self._strange)

    def _predicted(self, block: pa.Table) -> Prediction:
        encoder = self._saved.encoder
        told = self._teller.of(encoder, block)
        found = encoder.strange(block)
        self._strange = [one + more for one, more in zip(self._strange, found, strict=True)]
        prediction = self._saved.target.decode(told)
        check_finite(prediction)
        return prediction


def _by_torch(saved: Saved) -> Teller:
    """The networks in float32, by torch and the kernels of this library."""
    from selfnorm.tabular._storage import model_of  # noqa: PLC0415 - torch, which takes seconds

    return model_of(saved).teller(many=True)
