"""Rows a second that a fitted classifier predicts: a million rows of 50 numbers, ten classes."""

import statistics
from collections.abc import Iterator

import numpy as np
from sklearn.datasets import make_classification
from sklearn.neural_network import MLPClassifier

from benchmarks._harness import Budget, Row, in_turns, main, ratios
from selfnorm.tabular import SelfNormClassifier

ROWS, QUICK, COLUMNS, CLASSES = 1_000_000, 10_000, 50, 10


def measure(quick: bool) -> Iterator[Row]:
    """Ours beside scikit-learn's network of one hidden layer."""
    rows = QUICK if quick else ROWS
    X, y = make_classification(
        2_000, COLUMNS, n_informative=20, n_classes=CLASSES, random_state=0, shuffle=True
    )
    X = X.astype(np.float32)
    ours = SelfNormClassifier(epochs=5, random_state=0).fit(X, y)
    theirs = MLPClassifier(early_stopping=True, random_state=0).fit(X, y)
    many = np.random.default_rng(0).permuted(np.resize(X, (rows, COLUMNS)), axis=0)
    wrong = "" if agree(ours, many) else "a part of the rows has other probabilities"
    contestants = {
        "ours": lambda: ours.predict_proba(many),
        "theirs": lambda: theirs.predict_proba(many),
    }
    times = in_turns(contestants, Budget(turns=3, seconds=0.0))
    low, ratio, high = ratios(times["ours"], times["theirs"])
    speeds = [f"{rows / statistics.median(times[name]):,.0f} rows/s" for name in contestants]
    what = f"predict_proba, {rows:,} x {COLUMNS}"
    yield Row(what, "scikit-learn's MLP", *speeds, ratio, low, high, wrong=wrong)


def agree(model: SelfNormClassifier, many: np.ndarray) -> bool:
    """Whether the last rows have the same probabilities alone as among the others."""
    alone = model.predict_proba(many[-100:])
    return np.allclose(model.predict_proba(many)[-100:], alone, atol=1e-5)


if __name__ == "__main__":
    main("tabular_speed", measure)
