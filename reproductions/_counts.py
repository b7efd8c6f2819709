"""Rows that are mostly zeros, as molecules' fingerprints are, beside some dense columns."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor


@dataclass(frozen=True)
class Counts:
    """Standardized columns, most of which are 0 before: `(count - mean) * scale`, never made dense.

    `start` has where each row's entries begin and where the last one's end; `values` are the counts
    times their column's scale, and `shift` has each sparse column's `mean * scale`.
    """

    start: Tensor
    columns: Tensor
    values: Tensor
    shift: Tensor
    dense: Tensor

    @classmethod
    def of(cls, counts: sparse.csr_array, dense: np.ndarray, training: np.ndarray) -> "Counts":
        """Standardize by the rows that a mask names; a column that is constant there becomes 0."""
        known = counts[training]
        mean = np.asarray(known.mean(0)).ravel()
        square = np.asarray(known.multiply(known).mean(0)).ravel()
        deviation = np.sqrt(np.maximum(square - mean**2, 0))
        scale = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 0)
        middle, spread = dense[training].mean(0), dense[training].std(0)
        normal = np.divide(dense - middle, spread, out=np.zeros_like(dense), where=spread > 0)
        return cls(
            torch.from_numpy(counts.indptr.astype(np.int64)),
            torch.from_numpy(counts.indices.astype(np.int64)),
            torch.from_numpy(counts.data * scale[counts.indices]).float(),
            torch.from_numpy(mean * scale).float(),
            torch.from_numpy(normal).float(),
        )

    @property
    def width(self) -> int:
        """Number of columns, sparse and dense."""
        return len(self.shift) + self.dense.shape[1]

    def __len__(self) -> int:
        return len(self.dense)

    def __getitem__(self, rows: Tensor) -> "Counts":
        """These rows."""
        begin, many = self.start[rows], self.start[rows + 1] - self.start[rows]
        start = torch.cat([torch.zeros(1, dtype=torch.int64), many.cumsum(0)])
        at = torch.arange(int(start[-1])) + torch.repeat_interleave(begin - start[:-1], many)
        return Counts(start, self.columns[at], self.values[at], self.shift, self.dense[rows])

    def times(self, weight: Tensor, bias: Tensor) -> Tensor:
        """`standardized @ weight.T + bias` of each member, (members, rows, units)."""
        members, units, _ = weight.shape
        table = weight[:, :, : len(self.shift)]
        found = torch.nn.functional.embedding_bag(
            self.columns,
            table.permute(2, 0, 1).flatten(1),
            self.start[:-1],
            mode="sum",
            per_sample_weights=self.values,
        )
        moved = bias - table @ self.shift
        dense = torch.matmul(self.dense, weight[:, :, len(self.shift) :].mT)
        return found.view(-1, members, units).transpose(0, 1) + dense + moved[:, None]
