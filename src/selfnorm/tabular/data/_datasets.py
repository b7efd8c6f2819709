"""The built-in data sets: real tables that ship with scikit-learn, so that anyone can start."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa

NAMES = ("digits", "breast-cancer", "wine", "diabetes")
_TARGETS = {
    "digits": "digit",
    "breast-cancer": "diagnosis",
    "wine": "cultivar",
    "diabetes": "progression",
}


def target_of(name: str) -> str | None:
    """The target column of a built-in data set; None for any other name."""
    return _TARGETS.get(name)


def load(name: str) -> pa.Table:
    """A built-in data set as a table whose last column is its target."""
    from sklearn import datasets  # noqa: PLC0415  a second of import that only these names need

    loaders: dict[str, Callable[[], Any]] = {
        "digits": datasets.load_digits,
        "breast-cancer": datasets.load_breast_cancer,
        "wine": datasets.load_wine,
        "diabetes": datasets.load_diabetes,
    }
    bunch = loaders[name]()
    columns = {str(key): bunch.data[:, at] for at, key in enumerate(bunch.feature_names)}
    target = bunch.target
    if "target_names" in bunch and name != "digits":
        target = bunch.target_names[target]
    return pa.table({**columns, _TARGETS[name]: target})
