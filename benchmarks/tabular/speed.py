"""Rows a second that a fitted classifier predicts: a million rows of 50 numbers, ten classes.

The default learned from 2,000 rows has networks of infinite width; one of 20,000 has none. Then
with less: networks of finite width alone, the quick preset, a single network.
"""

import statistics
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from sklearn.datasets import make_classification
from sklearn.neural_network import MLPClassifier

from benchmarks._harness import Budget, Row, in_turns, main, ratios
from selfnorm.tabular import SelfNormClassifier

ROWS, QUICK, COLUMNS, CLASSES = 1_000_000, 10_000, 50, 10
CONTESTANTS: tuple[tuple[str, int, dict[str, Any]], ...] = (
    ("default, of 2,000 rows", 2_000, {}),
    ("default, of 20,000 rows", 20_000, {}),
    ("none of infinite width, of 2,000 rows", 2_000, {"infinite": False}),
    ("preset=fast, of 2,000 rows", 2_000, {"preset": "fast"}),
    ("n_estimators=1, of 2,000 rows", 2_000, {"n_estimators": 1}),
)


def measure(quick: bool) -> Iterator[Row]:
    """Ours beside scikit-learn's network of one hidden layer."""
    rows = QUICK if quick else ROWS
    X, y = table_of(2_000)
    many = np.random.default_rng(0).permuted(np.resize(X, (rows, COLUMNS)), axis=0)
    theirs = MLPClassifier(early_stopping=True, random_state=0).fit(X, y)
    for name, learned, settings in CONTESTANTS:
        ours = SelfNormClassifier(epochs=5, random_state=0, **settings).fit(*table_of(learned))
        wrong = "" if agree(ours, many) else "a part of the rows has other probabilities"
        contestants = {
            "ours": partial(ours.predict_proba, many),
            "theirs": partial(theirs.predict_proba, many),
        }
        times = in_turns(contestants, Budget(turns=3, seconds=0.0))
        low, ratio, high = ratios(times["ours"], times["theirs"])
        speeds = [f"{rows / statistics.median(times[name]):,.0f} rows/s" for name in contestants]
        what = f"predict_proba, {rows:,} x {COLUMNS}: {name}"
        yield Row(what, "scikit-learn's MLP", *speeds, ratio, low, high, wrong=wrong)


def table_of(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """A table to learn from."""
    X, y = make_classification(
        rows, COLUMNS, n_informative=20, n_classes=CLASSES, random_state=0, shuffle=True
    )
    return X.astype(np.float32), y


def agree(model: SelfNormClassifier, many: np.ndarray) -> bool:
    """Whether the last rows have the same probabilities alone as among the others."""
    alone = model.predict_proba(many[-100:])
    return np.allclose(model.predict_proba(many)[-100:], alone, atol=1e-5)


if __name__ == "__main__":
    main("tabular_speed", measure)
