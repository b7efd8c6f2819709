"""How much each column counts: what is lost if its cells are shuffled among the rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from selfnorm.tabular.encoding._encode import Encoder


@dataclass(frozen=True)
class Importance:
    """How much a column counts.

    Attributes:
        column: Its name.
        loss: How much greater the loss is with the column's cells shuffled, in the mean.
        spread: The standard deviation over shuffles; 0 of one.
    """

    column: str
    loss: float
    spread: float


def features_of(encoder: Encoder) -> dict[str, slice]:
    """The features of each column, as a slice of the matrix."""
    found: dict[str, slice] = {}
    at = 0
    for column in encoder.columns:
        found[column.name] = slice(at, at + len(column.features))
        at += len(column.features)
    return found


def importances(
    loss: Callable[[np.ndarray], float],
    matrix: np.ndarray,
    features: Mapping[str, slice],
    *,
    columns: Sequence[str],
    repeats: int,
    seed: int = 0,
) -> tuple[Importance, ...]:
    """Columns by what is lost if each is shuffled alone, the greatest first.

    All features of a column are shuffled as one, which is to shuffle its cells. Columns that tell
    the same stand in for each other, so that none of them counts for much.

    Args:
        loss: The loss of encoded rows.
        matrix: The rows, (rows, features).
        features: Those of each column.
        columns: Which to shuffle.
        repeats: How often.
        seed: Of the shuffles.

    Source: Breiman 2001 (Machine Learning 45); as in Fisher et al. 2019 (arXiv 1801.01489).
    """
    random = np.random.default_rng(seed)
    usual = loss(matrix)
    orders = [random.permutation(len(matrix)) for _ in range(repeats)]
    changed = matrix.copy()
    found: list[Importance] = []
    for name in columns:
        own = features[name]
        more: list[float] = []
        for order in orders:
            changed[:, own] = matrix[order, own]
            more.append(loss(changed) - usual)
        changed[:, own] = matrix[:, own]
        found.append(Importance(name, float(np.mean(more)), float(np.std(more))))
    return tuple(sorted(found, key=lambda one: -one.loss))
