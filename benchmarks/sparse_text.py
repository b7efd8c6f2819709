"""What does a sparse table of word counts take, and how right are its predictions beside rivals?"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.naive_bayes import MultinomialNB

from benchmarks._harness import Row, main
from selfnorm import SelfNormClassifier
from selfnorm.tabular.data._table import as_table

ROWS, WORDS, QUICK, QUICK_WORDS = 20_000, 50_000, 2_000, 4_000
CLASSES, TOPICS, LENGTH = 20, 40, 60
_EQUAL = 1e-6
_MEASURED = """
import sys
from benchmarks.sparse_text import corpus
from selfnorm import SelfNormClassifier
rows, words, few, epochs = map(int, sys.argv[1:])
X, y = corpus(rows, words)
X, y = X[:few], y[:few]
peak = lambda: next(int(line.split()[1]) for line in open("/proc/self/status") if "VmHWM" in line)
open("/proc/self/clear_refs", "w").write("5")  # the peak from here on
model = SelfNormClassifier(epochs=epochs, random_state=0).fit(X, y)
fit = peak()
open("/proc/self/clear_refs", "w").write("5")
model.predict_proba(X)
print(fit * 1024, peak() * 1024)
"""


def measure(quick: bool) -> Iterator[Row]:
    """Accuracy and processor time beside rivals on the same rows; then memory, in new processes."""
    rows, words = (QUICK, QUICK_WORDS) if quick else (ROWS, WORDS)
    X, y = corpus(rows, words)
    kept = int(0.75 * rows)
    ours = SelfNormClassifier(random_state=0, epochs=2 if quick else None)
    told, spent = tried(ours, X, y, kept)
    what = f"{rows:,} x {words:,} counts, {X.nnz / rows / words:.2%} not 0"
    wrong = "" if are_equal(ours, X[kept:]) else "sparse rows are told otherwise than dense ones"
    for name, rival in {
        "LogisticRegression": LogisticRegression(max_iter=300),
        "MultinomialNB": MultinomialNB(),
    }.items():
        other, other_spent = tried(rival, X, y, kept)
        figures = [
            (accuracy_score(y[kept:], one.argmax(1)), log_loss(y[kept:], one))
            for one in (told, other)
        ]
        ratio = figures[1][1] / figures[0][1]
        yield Row(
            f"{what}: accuracy, log loss, processor time",
            name,
            f"{figures[0][0]:.3f}, {figures[0][1]:.3f}, {spent:.0f} s",
            f"{figures[1][0]:.3f}, {figures[1][1]:.3f}, {other_spent:.1f} s",
            *(ratio, ratio, ratio),
            least=1.0,
            wanted=1.0,
            wrong=wrong,
        )
    yield from of_memory(rows, words, what)


def corpus(rows: int, words: int, seed: int = 0) -> tuple[sparse.csr_array, np.ndarray]:
    """Word counts and classes of made-up documents, half of whose words are of their topics.

    Words have Zipf's law; a topic prefers some, a class some topics, and a document mixes these in
    a way of its own.
    """
    rng = np.random.default_rng(seed)
    background = np.arange(1, words + 1) ** -1.05
    topics = background * rng.gamma(0.15, 1, (TOPICS, words))
    of_class = rng.dirichlet(np.full(TOPICS, 0.12), CLASSES)
    y = rng.integers(0, CLASSES, rows)
    shares = rng.gamma(np.maximum(6 * of_class[y], 1e-3) + 0.02)
    shares = np.cumsum(shares / shares.sum(1, keepdims=True), 1)
    lengths = rng.poisson(rng.gamma(2, LENGTH / 2, rows)) + 5
    row = np.repeat(np.arange(rows), lengths)
    topic = (rng.random(len(row))[:, None] > shares[row]).sum(1).clip(0, TOPICS - 1)
    topic[rng.random(len(row)) < 0.5] = TOPICS
    word = np.empty(len(row), np.int64)
    for at, weights in enumerate([*topics, background]):
        mine = np.flatnonzero(topic == at)
        levels = np.cumsum(weights) / weights.sum()
        word[mine] = np.searchsorted(levels, rng.random(len(mine))).clip(0, words - 1)
    X = sparse.coo_array((np.ones(len(row), np.float32), (row, word)), shape=(rows, words))
    return X.tocsr(), y


def tried(
    model: ClassifierMixin | Any, X: sparse.csr_array, y: np.ndarray, kept: int
) -> tuple[np.ndarray, float]:
    """Probabilities of the rows behind the first, which are learned from, and processor time."""
    begin = time.process_time()
    model.fit(X[:kept], y[:kept])
    return model.predict_proba(X[kept:]), time.process_time() - begin


def are_equal(model: SelfNormClassifier, X: sparse.csr_array) -> bool:
    """Whether a few rows are told the same by torch when they are made dense."""
    few = X[:64]
    dense = model.model_.encoder.transform(as_table(few))
    expected = model.model_.target.decode(model.model_.outputs(dense)).numbers
    return bool(np.abs(model.predict_proba(few) - expected).max() < _EQUAL)


def of_memory(rows: int, words: int, what: str) -> Iterator[Row]:
    """What fit and prediction take beyond a fit of 500 of the rows, beside the dense matrix."""
    dense = rows * words * 4
    peaks = [peaks_of(rows, words, some) for some in (500, rows)]
    for name, few, many in zip(("fit, two epochs", "predict"), *peaks, strict=True):
        grown = max(1, many - few)
        ratio = dense / grown
        yield Row(
            f"{what}: {name}, peak beyond that of 500 rows",
            "the matrix if it were dense",
            f"{grown / 2**20:,.0f} MiB",
            f"{dense / 2**20:,.0f} MiB",
            *(ratio, ratio, ratio),
            least=1.0,
            wanted=2.0,
        )


def peaks_of(rows: int, words: int, some: int) -> tuple[int, int]:
    """The most bytes that a fit of some rows holds, and a prediction of them."""
    outcome = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _MEASURED, *map(str, (rows, words, some, 2))],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    fit, predict = outcome.stdout.split()
    return int(fit), int(predict)


if __name__ == "__main__":
    main("sparse_text", measure)
