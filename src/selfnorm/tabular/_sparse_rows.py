"""Training rows of a sparse table: a mini-batch is the rows' numbers, which the first layer reads.

So all that shuffles, cuts and shares rows handles one number a row, and the cells stay where they
are.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.nn import functional

from selfnorm.errors import ArgumentError
from selfnorm.init._layers import Constant, Entry, Weight, entries
from selfnorm.nn import MLP
from selfnorm.nn._fused import FusedSequential
from selfnorm.tabular.encoding._encode import Encoder

_MOST = 1 << 24  # rows, whose numbers float32 holds: a training loop knows inputs as such


class SparseRows(NamedTuple):
    """Encoded rows, on the device that trains.

    Attributes:
        starts: Where each row's cells begin, and where the last one's end, (rows + 1,), int64.
        places: The feature of each cell, int64.
        values: Its value, float32.
        shift: What is taken off each feature, (features,), float32.
    """

    starts: Tensor
    places: Tensor
    values: Tensor
    shift: Tensor

    @classmethod
    def of(cls, matrices: Sequence[Any], shift: np.ndarray, device: torch.device) -> "SparseRows":
        """The rows of matrices, one behind the other.

        Raises:
            ArgumentError: there are too many.
        """
        rows = sum(one.shape[0] for one in matrices)
        if rows > _MOST:
            raise ArgumentError(
                f"A sparse table to learn from has at most {_MOST:,} rows; X has {rows:,}. Leave "
                "some out."
            )
        lengths = np.concatenate([np.diff(one.indptr) for one in matrices])
        starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        places = np.concatenate([one.indices for one in matrices]).astype(np.int64)
        values = np.concatenate([one.data for one in matrices])
        each = (starts, places, values, shift.astype(np.float32))
        return cls(*(torch.from_numpy(one).to(device) for one in each))

    def dense(self, numbers: Tensor) -> Tensor:
        """The features of a few rows, (rows, features)."""
        places, values, offsets = self.cells(numbers.flatten().long())
        lengths = offsets.diff(append=offsets.new_tensor([len(places)]))
        made = values.new_zeros(len(numbers), len(self.shift))
        made[torch.arange(len(numbers)).to(places).repeat_interleave(lengths), places] = values
        return made - self.shift

    def cells(self, numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Places and values of rows, one row behind the other, and where each begins."""
        begin = self.starts[numbers]
        lengths = self.starts[numbers + 1] - begin
        offsets = lengths.cumsum(0) - lengths
        at = torch.arange(int(lengths.sum()), device=numbers.device)
        at += (begin - offsets).repeat_interleave(lengths)
        return self.places[at], self.values[at], offsets


class Inputs:
    """What networks learn from, made of tables by an encoder: features, or numbers of sparse rows.

    Args:
        encoder: Who encodes the rows.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder, self._matrices = encoder, list[Any]()

    def of(self, table: pa.Table, rows: np.ndarray | None) -> Tensor:
        """The inputs of a table's rows, (rows, features), or (rows, 1) of a sparse table."""
        matrix = self._encoder.encoded(table, rows)
        if self._encoder.sparse is None:
            return torch.from_numpy(matrix)
        begin = sum(one.shape[0] for one in self._matrices)
        self._matrices.append(matrix)
        return torch.arange(begin, begin + matrix.shape[0], dtype=torch.float32, device="cpu")[
            :, None
        ]

    def sparse(self, device: torch.device) -> SparseRows | None:
        """All rows so far, if they are sparse.

        Raises:
            ArgumentError: there are too many.
        """
        if self._encoder.sparse is None:
            return None
        return SparseRows.of(self._matrices, self._encoder.sparse.shift, device)


class Reading(nn.Module):
    """A network that is told rows' numbers, and reads their cells.

    Its first layer's weights lie feature by feature while they learn, so that a row takes those of
    its own cells alone; `finish` gives them back.

    Args:
        network: An `MLP`, with members or without; all other layers are its own.
        rows: The rows.

    Shape:
        Input (rows, 1), or (members, rows, 1); output as that of the network.
    """

    def __init__(self, network: MLP, rows: SparseRows) -> None:
        super().__init__()
        (_, first), *others = network.named_children()
        self._first: Any = first
        self._rows, self.members = rows, network.members
        weight: Tensor = self._first.weight.detach()
        self.features = nn.Parameter(weight.transpose(-1, -2).contiguous())
        self.bias = self._first.bias
        self.rest = FusedSequential(OrderedDict(others))
        del self._modules["_first"]
        object.__setattr__(self, "_first", first)  # whose weight is not to learn besides
        self.train(network.training)

    def forward(self, numbers: Tensor) -> Tensor:
        """Each row's outputs."""
        asked = numbers[..., 0].long()
        if self.members is not None and asked.ndim == 1:
            asked = asked.expand(self.members, -1)
        places, values, offsets = self._rows.cells(asked.flatten())
        if self.members is not None:
            lengths = offsets.diff(append=offsets.new_tensor([len(places)]))
            of_member = lengths.view(self.members, -1).sum(1)
            step = torch.arange(self.members, device=places.device) * self.features.shape[1]
            places = places + step.repeat_interleave(of_member)
        table = self.features.flatten(0, -2)
        sums = functional.embedding_bag(
            places, table, offsets, mode="sum", per_sample_weights=values
        )
        bias = self.bias - self._rows.shift @ self.features
        return self.rest(sums.view(*asked.shape, -1) + bias[..., None, :])

    def finish(self) -> None:
        """Give the network's first layer what was learned."""
        with torch.no_grad():
            self._first.weight.copy_(self.features.transpose(-1, -2))


@entries.register(Reading)
def _(_module: Reading) -> list[Entry]:
    """The first layer's matrix, or one for each member; its rows are units."""
    return [Weight("features", views=_units), Constant("bias")]


def _units(features: Tensor) -> list[Tensor]:
    units = features.transpose(-1, -2)
    return [units if units.ndim == 3 else units[None]]
