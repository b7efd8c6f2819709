"""Tables as numbers, for methods that take no categories and no missing values."""

from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

_CATEGORIES = make_column_selector(dtype_include="category")
_NUMBERS = make_column_selector(dtype_exclude="category")


def numbers(X: Any) -> Any:
    """Standardized numbers with medians where some are missing; one feature for each category."""
    if isinstance(X, np.ndarray):
        return StandardScaler()
    return ColumnTransformer(
        [
            (
                "numbers",
                make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
                _NUMBERS,
            ),
            (
                "categories",
                OneHotEncoder(handle_unknown="ignore", sparse_output=False),
                _CATEGORIES,
            ),
        ]
    )


def categories(X: Any) -> list[str]:
    """Names of the columns that hold categories; an array has none."""
    return [] if isinstance(X, np.ndarray) else list(_CATEGORIES(X))


def as_text() -> FunctionTransformer:
    """Categories as text, those that are missing as one of their own."""
    return FunctionTransformer(_as_text)


def _as_text(X: Any) -> Any:
    names = categories(X)
    return (
        X.assign(**{n: X[n].astype(object).fillna("?").astype(str) for n in names}) if names else X
    )
