"""A table made ready to train on, whether it is in memory or read in parts."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from selfnorm.nn import MLP
from selfnorm.tabular._distribution import TOGETHER, Distribution
from selfnorm.tabular._source import Source
from selfnorm.tabular._sparse_rows import Reading, SparseRows
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.encoding._target import Target
from selfnorm.tabular.stream._stream import Stream
from selfnorm.training import Batches, Folded, Options, Rows, Shuffled

PIECES = 8  # of a number
MOST_NUMBERS = 1 << 24  # of a table in pieces, which then takes 576 MiB at the most
_WATCHED_ROWS = 1024
_FEWEST_WATCHED = 64  # of a sparse table, which are made dense
_MOST_DENSE = 1 << 22  # numbers of those


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
    streamed: Stream | None = None
    """The rows to train with where they are read in parts: source and training are some of them."""
    distribution: Distribution = TOGETHER
    """How processes share the training."""
    scoring: Callable[..., Tensor] | None = None
    """What chooses the epoch in place of the loss: less is better. None if nothing does."""
    sparse: SparseRows | None = None
    """The rows of a sparse table, of which inputs are the numbers; None of any other."""

    @property
    def crossed(self) -> bool:
        """Whether the rows to train with validate, too: each by who left it out."""
        return self.validation is self.training

    @property
    def device(self) -> torch.device:
        """The device that trains."""
        return self.training.inputs.device

    @property
    def rows(self) -> int:
        """How many rows are trained with."""
        return len(self.training) if self.streamed is None else self.streamed.rows

    @property
    def watched(self) -> Tensor:
        """Inputs of rows from all over the table, on which the layers are watched."""
        most = _WATCHED_ROWS
        if self.sparse is not None:
            most = min(most, max(_FEWEST_WATCHED, _MOST_DENSE // len(self.sparse.shift)))
        some = self.training.inputs[:: -(-len(self.training) // most)]  # it may be sorted
        return some if self.sparse is None else self.sparse.dense(some)

    def reading(self, network: MLP) -> nn.Module:
        """What reads the inputs of a network's rows: the network itself, but of a sparse table."""
        return network if self.sparse is None else Reading(network, self.sparse)

    def without_cells(self) -> "Prepared":
        """The same without the table's cells, once they are encoded and looked at: its columns."""
        columns = self.source.table.schema.empty_table()
        return replace(self, source=replace(self.source, table=columns))

    def batches(self, options: Options) -> Batches:
        """The rows to train with, in mini-batches; for the members that this process trains."""
        mine = self.distribution.mine(options.members)
        if self.streamed is not None:
            return self.streamed.batches(options, self.device, mine)
        size = options.batch_rows(self.rows)
        if options.members == 1:
            return Shuffled(self.training, size)
        left_out = self.left_out if self.crossed else None
        return Folded(self.training, left_out, options.members, size, mine)
