"""Variants of our estimator for `ablations`: each makes an estimator from its class and settings.

What is more than a setting is a function here, which may return anything that fits and predicts.
"""

from collections.abc import Callable
from typing import Any

Variant = Callable[[type, dict[str, Any]], Any]
DEFAULT = "default"


def settings(**changes: Any) -> Variant:
    """The estimator with other settings."""
    return lambda estimator, given: estimator(**given | changes)


VARIANTS: dict[str, Variant] = {
    DEFAULT: settings(),
    **{f"depth={value}": settings(depth=value) for value in (2, 4, 8, 16)},
    **{f"weights={value}": settings(weights=value) for value in ("orthogonal", "lecun")},
    **{f"dropout={value}": settings(dropout=value) for value in (0.0, 0.02, 0.1)},
    **{f"n_estimators={value}": settings(n_estimators=value) for value in (1, 4, 8, 16, 32)},
}
