"""A column that says one thing only: whether it has a value."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

import numpy as np
import pyarrow as pa

from selfnorm.tabular.data._cells import Holds, is_way, numbers
from selfnorm.tabular.encoding._records import (
    LARGEST,
    MISSING,
    are_text,
    is_finite,
    reach,
    require,
)
from selfnorm.tabular.encoding._strange import Strange


@dataclass(frozen=True)
class PresenceColumn:
    """A column of one number, date or boolean, and blanks: one feature, whether it is missing.

    `missing` is the share of training rows without a value; `holds` and `written` are those of a
    `NumberColumn`.
    """

    name: str
    missing: float
    holds: Holds = "numbers"
    written: str | None = None
    kind: ClassVar[str] = "presence"

    def __post_init__(self) -> None:
        require(are_text(self.name), "a column's name is text")
        require(is_finite(self.missing) and 0 < self.missing < 1, "a share is in (0, 1)")
        require(reach(self.missing) <= LARGEST, "a share is too small")
        require(self.holds in get_args(Holds), "a column holds numbers, booleans, dates or times")
        require(self.written is None or is_way(self.holds, self.written), "a known way of writing")

    @property
    def reads_text(self) -> bool:
        """Whether a file's cells are to come as text, as they stand there."""
        return self.written is not None

    @property
    def features(self) -> list[str]:
        """The name of the feature."""
        return [f"{self.name}={MISSING}"]

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> "PresenceColumn":
        """From what a model file holds."""
        return cls(**saved)

    def encode(self, column: pa.ChunkedArray, out: np.ndarray) -> None:
        """Write the feature into `out`: shape (rows, 1), float32."""
        absent = np.isnan(numbers(self.name, column, self.holds, self.written))
        out[:, 0] = (absent - self.missing) / math.sqrt(self.missing * (1 - self.missing))

    def strange(self, column: pa.ChunkedArray) -> Strange:
        """Nothing: any value counts as the one that training had."""
        return Strange(len(column))

    def note(self, strange: Strange) -> None:
        """No sentence."""
