"""Tables as numbers, for methods that take no categories or no missing values."""

from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

CATEGORIES = make_column_selector(dtype_include="category")
NUMBERS = make_column_selector(dtype_exclude="category")


def numbers(X: Any) -> Any:
    """Standardized numbers, medians where some are missing; one feature for each category."""
    if isinstance(X, np.ndarray):
        return StandardScaler()
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), NUMBERS),
            ("categories", OneHotEncoder(handle_unknown="ignore", sparse_output=False), CATEGORIES),
        ]
    )


def complete(X: Any) -> Any:
    """Numbers as they are, medians where some are missing; categories as text."""
    if isinstance(X, np.ndarray):
        return "passthrough"
    return ColumnTransformer(
        [
            ("numbers", SimpleImputer(strategy="median"), NUMBERS),
            ("categories", as_text(), CATEGORIES),
        ],
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")


def as_text() -> FunctionTransformer:
    """Categories as text, those that are missing as one of their own."""
    return FunctionTransformer(_as_text, feature_names_out="one-to-one")


def categories(X: Any) -> list[str]:
    """Names of the columns that hold categories; an array has none."""
    return [] if isinstance(X, np.ndarray) else CATEGORIES(X)


def _as_text(X: Any) -> Any:
    text = {name: X[name].astype(object).fillna("?").astype(str) for name in categories(X)}
    return X.assign(**text) if text else X
