"""How right intervals and deviations are, on rows that nothing had seen; into docs/estimators.md.

As many rows to try as to fit with, drawn anew in each split; default settings.
"""

import argparse
import json
import statistics
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import train_test_split

from benchmarks import table
from benchmarks._harness import RESULTS, machine
from benchmarks.tabular import tasks
from selfnorm.tabular import SelfNormClassifier, SelfNormRegressor

COVERAGES = (0.5, 0.8, 0.9, 0.95)
MASKS = 20
_ROWS = 700

Rows = tuple[np.ndarray, np.ndarray]


@cache
def wine() -> Rows:
    """The grade of red wines, 0 to 5, as a number."""
    task = tasks.load("wine-quality-red")
    return np.asarray(task.X), task.y.astype(float)


@cache
def pulsars() -> Rows:
    """Skewness of the integrated profile from the other seven features."""
    X = np.asarray(tasks.load("htru2").X)
    return np.delete(X, 3, axis=1), X[:, 3]


def sugar() -> Rows:
    """Scikit-learn's diabetes."""
    return load_diabetes(return_X_y=True)


NUMBERS: dict[str, tuple[Callable[[], Rows], int, int]] = {
    "diabetes": (sugar, 221, 8),
    "wine-quality-red (the grade as a number)": (wine, _ROWS, 4),
    "HTRU2 (skewness of the profile from the other seven)": (pulsars, _ROWS, 3),
}
CLASSES = {"breast-cancer": load_breast_cancer, "digits": load_digits}


def parted(rows: Rows, most: int, split: int) -> tuple[np.ndarray, ...]:
    """Rows to fit with, as many to try with, and their targets."""
    X, y = rows
    half = min(most, len(X) // 2)
    return train_test_split(X, y, train_size=half, test_size=half, random_state=split)


def intervals() -> Iterator[list[str]]:
    """Of each table: the share of rows inside, and how wide intervals are."""
    for name, (rows, most, splits) in NUMBERS.items():
        for apart in (False, True):
            inside: dict[float, list[float]] = {one: [] for one in COVERAGES}
            widths = []
            for split in range(splits):
                X, new, y, truth = parted(rows(), most, split)
                given: dict[str, Any] = {}
                if apart:
                    X, given["X_val"], y, given["y_val"] = train_test_split(
                        X, y, test_size=0.25, random_state=split
                    )
                model = SelfNormRegressor(random_state=split).fit(X, y, **given)
                for coverage, shares in inside.items():
                    low, high = model.predict_interval(new, coverage).T
                    shares.append(float(((low <= truth) & (truth <= high)).mean()))
                    if coverage == 0.9:
                        widths.append(float((high - low).mean() / truth.std()))
            shares = [f"{statistics.mean(one):.3f}" for one in inside.values()]
            spread = f"{statistics.stdev(inside[0.9]):.3f}"
            errors = "`X_val`, a quarter" if apart else "left-out rows"
            title = f"{name}, {most}, {splits}"
            yield [title, errors, *shares, spread, f"{statistics.mean(widths):.2f}"]


def of_numbers() -> Iterator[list[str]]:
    """What deviations tell of errors, without masks and with some."""
    for name in ("diabetes", "HTRU2 (skewness of the profile from the other seven)"):
        rows, most, _ = NUMBERS[name]
        X, new, y, truth = parted(rows(), most, 0)
        model = SelfNormRegressor(random_state=0).fit(X, y)
        for masks in (0, MASKS):
            told, deviation = model.predict(new, return_std=True, mc=masks)
            errors = np.abs(told - truth)
            unsure = deviation >= np.quantile(deviation, 0.9)
            ratio = errors[unsure].mean() / errors[~unsure].mean()
            rmse = np.sqrt(np.mean(errors**2)) / truth.std()
            yield [name, str(masks), f"{ratio:.2f}", f"{rmse:.3f}"]


def of_classes() -> Iterator[list[str]]:
    """What deviations tell of mistakes beside what the probabilities do."""
    for name, load in CLASSES.items():
        X, new, y, truth = parted(load(return_X_y=True), 10_000, 0)
        model = SelfNormClassifier(random_state=0).fit(X, y)
        for masks in (0, MASKS):
            told, deviation = model.predict_proba(new, return_std=True, mc=masks)
            wrong = told.argmax(1) != truth
            spread = np.take_along_axis(deviation, told.argmax(1)[:, None], 1)[:, 0]
            found = roc_auc_score(wrong, spread), roc_auc_score(wrong, -told.max(1))
            loss = log_loss(truth, told)
            yield [f"{name} ({len(X)} rows)", str(masks), *(f"{one:.3f}" for one in (*found, loss))]


def written(name: str, tables: list[dict[str, Any]], folder: Path) -> None:
    """Save and print tables."""
    found = {"machine": machine(), "tables": tables}
    (folder / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    print(table.tables(found))


def main() -> None:
    """Measure all, and write what the page takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    folder = parser.parse_args().results
    head = ["table, rows to fit with, splits", "errors of", *map(str, COVERAGES)]
    head += ["from split to split at .9", "width at .9"]
    title = "Share of rows inside; width in deviations of the target."
    rows = list(intervals())
    written("unsure_intervals", [{"title": title, "head": head, "rows": rows}], folder)
    numbers = {
        "title": "Of numbers:",
        "head": [
            "table",
            "masks",
            "errors in the tenth of largest deviation, as a multiple of the others'",
            "RMSE in deviations",
        ],
        "rows": list(of_numbers()),
    }
    classes = {
        "title": "Of classes:",
        "head": [
            "table",
            "masks",
            "mistakes found by deviation (AUC)",
            "by the probability itself",
            "log loss",
        ],
        "rows": list(of_classes()),
    }
    written("unsure_deviations", [numbers, classes], folder)


if __name__ == "__main__":
    main()
