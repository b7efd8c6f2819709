"""What each column of one row adds to its prediction."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

_ORDERS = 64
_MOST_ROWS = 16_384


@dataclass(frozen=True)
class Contributions:
    """What a row's columns add to its prediction: `start + sum(added) = end`.

    Attributes:
        start: The mean prediction of the rows that it is compared with.
        end: The row's own prediction.
        added: What each column adds.
        errors: The standard error of each, by the orders that were drawn.
    """

    start: float
    end: float
    added: dict[str, float]
    errors: dict[str, float]


def contributions(
    say: Callable[[np.ndarray], np.ndarray],
    row: np.ndarray,
    others: np.ndarray,
    features: Mapping[str, slice],
    *,
    seed: int = 0,
) -> Contributions:
    """Shapley values by sampling: cells of another row are replaced by the row's own, one by one.

    In an order at random; what the prediction changes by, at a column's turn, is the column's, and
    the mean over orders, each with another row, is its contribution.

    Args:
        say: From encoded rows to the output in question, (rows,).
        row: The row, encoded, (features,).
        others: Rows to compare it with, (rows, features).
        features: Those of each column.
        seed: Of orders and rows.

    Source: Strumbelj and Kononenko 2010 (JMLR 11).
    """
    random = np.random.default_rng(seed)
    names = list(features)
    orders = max(4, min(_ORDERS, _MOST_ROWS // (len(names) + 1)))
    picked = random.permutation(np.resize(np.arange(len(others)), max(orders, len(others))))[
        :orders
    ]
    drawn = [random.permutation(len(names)) for _ in picked]
    rows = np.repeat(others[picked][:, None], len(names) + 1, axis=1)
    for number, order in enumerate(drawn):
        for turn, at in enumerate(order):
            rows[number, turn + 1 :, features[names[at]]] = row[features[names[at]]]
    told = say(rows.reshape(-1, rows.shape[2])).reshape(orders, -1)
    changes = np.empty((orders, len(names)))
    for number, order in enumerate(drawn):
        changes[number, order] = np.diff(told[number])
    errors = changes.std(0) / np.sqrt(orders)
    return Contributions(
        float(told[:, 0].mean()),
        float(told[:, -1].mean()),
        dict(zip(names, changes.mean(0).tolist(), strict=True)),
        dict(zip(names, errors.tolist(), strict=True)),
    )
