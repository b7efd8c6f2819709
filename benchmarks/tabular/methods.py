"""The methods by name: ours, and today's others."""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.tabular import classical, networks
from benchmarks.tabular._given import Given
from benchmarks.tabular._tabm import tabm
from benchmarks.tabular.variants import DEFAULT, VARIANTS, Variant


@dataclass(frozen=True)
class Method:
    """How a method learns, the packages it needs, and whether it takes seconds on small tables."""

    fit: Callable[[Given], Any]
    packages: tuple[str, ...] = ("scikit-learn",)
    quick: bool = False

    @property
    def modules(self) -> list[str]:
        """What to import for it."""
        return [{"scikit-learn": "sklearn"}.get(name, name) for name in self.packages]

    def missing(self) -> list[str]:
        """Those of its modules that are not installed."""
        return [name for name in self.modules if importlib.util.find_spec(name) is None]

    def ready(self) -> None:
        """Import what it needs, which is none of its time."""
        for name in self.modules:
            importlib.import_module(name)


def varied(variant: Variant) -> Method:
    """A variant of our estimator."""
    return Method(partial(networks.selfnorm, variant=variant), ("selfnorm",), quick=True)


METHODS = {
    "selfnorm": varied(VARIANTS[DEFAULT]),
    "selfnorm-single": varied(VARIANTS["n_estimators=1"]),
    "RandomForest": Method(classical.random_forest, quick=True),
    "SVC": Method(classical.svc, quick=True),
    "MLP": Method(classical.mlp, quick=True),
    "LightGBM": Method(classical.lightgbm, ("lightgbm",), quick=True),
    "HistGradientBoosting": Method(classical.hist_gradient_boosting, quick=True),
    "CatBoost": Method(classical.catboost, ("catboost",)),
    "RealMLP": Method(networks.realmlp, ("pytabkit",)),
    "TabM": Method(tabm, ("tabm",)),
    "xRFM": Method(networks.xrfm, ("pytabkit", "xrfm")),
}


def find(name: str) -> Method:
    """A method, or a variant of ours, by its name."""
    if name in VARIANTS:
        return varied(VARIANTS[name])
    if name not in METHODS:
        raise SystemExit(f"No such method: {name}. There are {', '.join([*METHODS, *VARIANTS])}.")
    return METHODS[name]
