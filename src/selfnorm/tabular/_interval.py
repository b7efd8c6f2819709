"""How far a number can be from its prediction, by what left-out rows were told."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np

from selfnorm._parameters import Number
from selfnorm.errors import ArgumentError
from selfnorm.tabular.encoding._records import is_finite, require

_MOST = 1999  # levels that are kept: one in 2,000
_COVERAGE = Number(0, 1, open_low=True, open_high=True)


@dataclass(frozen=True)
class Errors:
    """Sizes of errors on rows that were not learned from, at levels of even distance.

    Attributes:
        levels: How many there are; level k is the share `k / (levels + 1)`, k = 1, 2, ...
        sizes: What that share of errors does not exceed, ascending; those of the highest levels
            are unknown where a few rows have most of the weight.
    """

    levels: int
    sizes: tuple[float, ...]

    def __post_init__(self) -> None:
        require(type(self.levels) is int and self.levels > 0, "levels are counted")
        require(0 < len(self.sizes) <= self.levels, "each level has one size at the most")
        require(all(is_finite(one) and one >= 0 for one in self.sizes), "sizes are 0 or more")
        require(list(self.sizes) == sorted(self.sizes), "sizes ascend")

    @classmethod
    def of(cls, errors: np.ndarray, weights: np.ndarray | None = None) -> "Errors | None":
        """Learn the sizes from errors, (rows,); None if the rows tell of no level.

        A new row counts as one more, of the mean weight, whose error is larger than all: so the
        share is that of new rows, and not of these (Vovk et al. 2005; with weights Tibshirani et
        al. 2019, arXiv 1904.06019).
        """
        order = np.argsort(np.abs(errors))
        counts = np.ones(len(errors)) if weights is None else weights / weights.mean()
        reached = np.cumsum(counts[order]) / (len(errors) + 1)
        levels = min(len(errors), _MOST)
        at = np.searchsorted(reached, np.arange(1, levels + 1) / (levels + 1))
        sizes = np.abs(errors)[order][at[at < len(errors)]]
        return cls(levels, tuple(sizes.tolist())) if len(sizes) else None

    def within(self, coverage: float) -> float:
        """The size that a share of new errors does not exceed.

        Raises:
            ArgumentError: it is not between 0 and 1, or too near to 1 for so few rows.
        """
        if not _COVERAGE.holds(coverage):
            raise ArgumentError(
                f"coverage must be {_COVERAGE}; {coverage!r} came. Try coverage=0.9."
            )
        level = math.ceil(coverage * (self.levels + 1) - 1e-9)  # .07 * 100 is above 7
        if level > len(self.sizes):
            most = len(self.sizes) / (self.levels + 1)
            raise ArgumentError(
                f"An interval of coverage {coverage:g} takes more rows to know errors from; these "
                f"tell it up to {most:.4g}. Ask for less, or fit with more rows."
            )
        return self.sizes[level - 1]

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, for a model file."""
        return asdict(self)


def errors_by_output(
    truth: np.ndarray, told: np.ndarray, weights: np.ndarray | None = None
) -> tuple[Errors | None, ...]:
    """The errors of each output, of rows in which it is known.

    Args:
        truth: The numbers, (rows,) or (rows, outputs); nan where missing.
        told: What the rows were told, likewise.
        weights: How much each row counts, (rows,), above 0; None if all count the same.
    """
    if truth.ndim == 1:
        return (Errors.of(truth - told, weights),)
    found: list[Errors | None] = []
    for each in (truth - told).T:
        known = ~np.isnan(each)
        counts = None if weights is None else weights[known]
        found.append(Errors.of(each[known], counts) if known.any() else None)
    return tuple(found)


def errors_to_record(errors: Sequence[Errors | None]) -> Any:
    """Errors by output as JSON: those of one output as they are, None if there are none."""
    each = [None if one is None else one.to_dict() for one in errors]
    return each[0] if len(each) == 1 else each or None


def errors_of(about: Mapping[str, Any]) -> tuple[Errors | None, ...]:
    """The errors by output that a model's record tells of; none if it tells of none.

    Raises:
        ValueError: they are not as `errors_to_record` wrote them.
    """
    saved = about.get("errors")
    if saved is None:
        return ()
    if isinstance(saved, list | tuple):
        return tuple(_errors(one) for one in cast("list[Any]", saved))
    return (_errors(saved),)


def _errors(saved: Any) -> Errors | None:
    if saved is None:
        return None
    require(isinstance(saved, dict) and set(saved) == {"levels", "sizes"}, "errors are a record")
    require(isinstance(saved["sizes"], list | tuple), "sizes are a list")
    return Errors(saved["levels"], tuple(cast("list[float]", saved["sizes"])))
