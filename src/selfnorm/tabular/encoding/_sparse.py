"""The columns of a sparse table, which stay sparse up to the first layer."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from selfnorm.errors import TableError
from selfnorm.tabular.data._cells import Holds
from selfnorm.tabular.data._sparse import is_sparse, matrix_of
from selfnorm.tabular.encoding._number import BENT
from selfnorm.tabular.encoding._records import LARGEST, are_text, is_finite, require
from selfnorm.tabular.encoding._strange import Strange

# SciPy is imported where a sparse matrix is: a prediction of another table need not wait for it.
# ruff: noqa: PLC0415
if TYPE_CHECKING:
    from scipy import sparse

_FLATTEST = 1e-12  # a variance beside the mean's square, below which roundings are all


@dataclass(frozen=True)
class SparseColumn:
    """The columns of a sparse matrix of which enough rows have something else than 0.

        feature = (bent(x / unit) - mean) / deviation,   bent(u) = u / sqrt(1 + (u / 3)^2)

    `unit` is the root of the mean square of a column's cells that are not 0, so that the columns'
    units count for nothing; `bent` leaves 0 at 0, and no long document outweighs the rest. `mean`
    is that of the bent values over all training rows, those with 0 among them.

    `deviation` is one for all columns, the root of the mean of their variances. So a row's features
    have a mean square of 1 over the training rows, and what LeCun's weights make of them has
    variance 1. Were each column divided by its own deviation, a word of 20 in 20,000 documents
    would count as much as one of all: of a made-up corpus, 3,000 documents of 20 classes, .272
    were told right then, and .433 so.

    The mean is not taken off the cells, which would then be nowhere 0. The first layer takes it off
    behind its product:

        W (x - mean) / deviation + b = W x / deviation + (b - W mean / deviation)

    A column needs as many rows in which it is not 0 as a level of a category does. The others are
    left out.

    `width` is how many columns the matrix has, and `places` are the numbers of those in use.
    """

    name: str
    width: int
    places: tuple[int, ...]
    units: tuple[float, ...]
    means: tuple[float, ...]
    deviation: float
    kind: ClassVar[str] = "sparse"
    reads_text: ClassVar[bool] = False
    holds: ClassVar[Holds] = "numbers"
    written: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        require(are_text(self.name), "a column's name is text")
        require(type(self.width) is int and self.width > 0, "a sparse table has columns")
        require(len(self.places) > 0, "a sparse table has columns in use")
        require(all(type(one) is int for one in self.places), "columns are whole numbers")
        ordered = all(a < b for a, b in zip(self.places, self.places[1:], strict=False))
        require(ordered and self.places[0] >= 0, "columns are in order")
        require(self.places[-1] < self.width, "columns are of the table")
        for each in (self.units, self.means):
            require(len(each) == len(self.places), "each column has its unit and mean")
            require(all(map(is_finite, each)), "units and means are finite numbers")
        require(all(one > 0 for one in self.units), "units are above 0")
        require(is_finite(self.deviation) and self.deviation > 0, "a deviation is above 0")
        require(self.deviation * LARGEST >= BENT, "a deviation is too small")

    @property
    def features(self) -> list[str]:
        """Names of the features."""
        return [f"{self.name}[{place}]" for place in self.places]

    @classmethod
    def fit(
        cls, name: str, column: pa.ChunkedArray, width: int, rows: np.ndarray, rare: int
    ) -> "SparseColumn | None":
        """Learn units and moments from training rows; None if no column can be used."""
        matrix: Any = matrix_of(column.take(rows), width).astype(np.float64).tocsc()
        matrix.eliminate_zeros()
        counts = np.diff(matrix.indptr)
        frequent = np.flatnonzero(counts >= rare)
        if not len(frequent):
            return None
        matrix, counts = matrix[:, frequent], counts[frequent]
        largest = np.maximum.reduceat(np.abs(matrix.data), matrix.indptr[:-1])
        of_cell = np.repeat(np.arange(len(frequent)), counts)
        scaled = matrix.data / largest[of_cell]  # so that no square leaves float64's range
        units = largest * np.sqrt(np.bincount(of_cell, scaled**2, len(frequent)) / counts)
        bent = _bent(matrix.data / units[of_cell])
        means = np.bincount(of_cell, bent, len(frequent)) / len(rows)
        squares = np.bincount(of_cell, np.square(bent - means[of_cell]), len(frequent))
        squares += (len(rows) - counts) * np.square(means)
        variances = squares / len(rows)
        differ = variances > _FLATTEST * np.square(means)
        if not differ.any():
            return None
        places, own, middles = (tuple(one[differ].tolist()) for one in (frequent, units, means))
        return cls(name, width, places, own, middles, float(np.sqrt(variances[differ].mean())))

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> "SparseColumn":
        """From what a model file holds."""
        lists: dict[str, Any] = {n: tuple(saved[n]) for n in ("places", "units", "means")}
        return cls(**{**saved, **lists})

    def product(self, column: pa.ChunkedArray) -> "sparse.csr_array":
        """The cells as the first layer multiplies them, (rows, features), float32.

        Raises:
            TableError: the column holds no sparse rows.
        """
        if not is_sparse(column.type):
            raise TableError(
                f"Column '{self.name}' must hold the rows of a sparse matrix; it holds "
                f"{column.type}. Give a matrix of scipy.sparse."
            )
        from scipy import sparse

        matrix = matrix_of(column, self.width)
        places = self._places[matrix.indices]
        kept = places >= 0
        at = np.concatenate([[0], np.cumsum(kept)])
        places = places[kept]
        bent = _bent(matrix.data[kept] / self._units[places]) / self.deviation
        made = sparse.csr_array((len(column), len(self.places)), dtype=np.float32)
        made.data, made.indices = bent.astype(np.float32), places
        made.indptr = at[matrix.indptr]
        return made

    @cached_property
    def shift(self) -> np.ndarray:
        """What the first layer takes off each feature, (features,), float64."""
        return np.asarray(self.means) / self.deviation

    def encode(self, column: pa.ChunkedArray, out: np.ndarray) -> None:
        """Write the features into `out`: shape (rows, features), float32; of few rows."""
        out[:] = self.product(column).toarray() - self.shift

    def strange(self, column: pa.ChunkedArray) -> Strange:
        """Nothing: what is in no column in use counts as 0 does."""
        return Strange(len(column))

    def note(self, strange: Strange) -> None:
        """No sentence."""

    @cached_property
    def _places(self) -> np.ndarray:
        """The feature of each column; -1 where it is not in use."""
        found = np.full(self.width, -1, np.int32)
        found[list(self.places)] = np.arange(len(self.places))
        return found

    @cached_property
    def _units(self) -> np.ndarray:
        return np.asarray(self.units)


def _bent(u: np.ndarray) -> np.ndarray:
    return u / np.sqrt(1 + np.square(u / BENT))
