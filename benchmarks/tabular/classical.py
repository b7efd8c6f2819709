"""Trees, kernels and a plain network: scikit-learn's, LightGBM and CatBoost.

Each function takes what is given and returns an estimator, fitted. All have their own default
settings but for `svc`, which has none that serve.
"""

from itertools import product
from typing import Any

from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from benchmarks.tabular._encode import as_text, categories, numbers
from benchmarks.tabular._given import Given

# Of SVC: C, and gamma in units of 1 / features.
COSTS, GAMMAS = (0.25, 2.0, 16.0, 128.0, 1024.0), (1 / 16, 1 / 4, 1.0, 4.0)


def random_forest(given: Given) -> Any:
    """A forest of 500 trees."""
    forest = given.either(RandomForestClassifier, RandomForestRegressor)
    return _on_numbers(given, forest(500, n_jobs=given.threads, random_state=given.seed))


def svc(given: Given) -> Any:
    """A kernel machine with the C and gamma that validate best, fitted again on all rows."""
    machine = given.either(SVC(), TransformedTargetRegressor(SVR(), transformer=StandardScaler()))
    prefix = given.either("", "regressor__")
    encoder = numbers(given.X).fit(given.X[~given.validation])
    X = encoder.transform(given.X)
    learns = ~given.validation

    def score(cost: float, gamma: float) -> float:
        set_to = {f"{prefix}C": cost, f"{prefix}gamma": gamma / X.shape[1]}
        trial = clone(machine).set_params(**set_to).fit(X[learns], given.y[learns])
        return trial.score(X[given.validation], given.y[given.validation])

    cost, gamma = max(product(COSTS, GAMMAS), key=lambda pair: score(*pair))
    machine.set_params(**{f"{prefix}C": cost, f"{prefix}gamma": gamma / X.shape[1]})
    return _on_numbers(given, machine)


def mlp(given: Given) -> Any:
    """scikit-learn's network of one hidden layer."""
    network = given.either(
        MLPClassifier(random_state=given.seed),
        TransformedTargetRegressor(
            MLPRegressor(random_state=given.seed), transformer=StandardScaler()
        ),
    )
    return _on_numbers(given, network)


def hist_gradient_boosting(given: Given) -> Any:
    """scikit-learn's boosted trees on binned columns; takes categories as they are."""
    boosting = given.either(HistGradientBoostingClassifier, HistGradientBoostingRegressor)
    return boosting(random_state=given.seed).fit(given.X, given.y)


def lightgbm(given: Given) -> Any:
    """LightGBM, which takes categories as they are."""
    from lightgbm import LGBMClassifier, LGBMRegressor

    boosting = given.either(LGBMClassifier, LGBMRegressor)
    model = boosting(n_jobs=given.threads, random_state=given.seed, verbose=-1)
    return model.fit(given.X, given.y)


def catboost(given: Given) -> Any:
    """CatBoost, which takes categories as text."""
    from catboost import CatBoostClassifier, CatBoostRegressor

    boosting = given.either(CatBoostClassifier, CatBoostRegressor)
    model = boosting(
        thread_count=given.threads,
        random_seed=given.seed,
        cat_features=categories(given.X) or None,
        allow_writing_files=False,
        silent=True,
    )
    return make_pipeline(as_text(), model).fit(given.X, given.y)


def _on_numbers(given: Given, estimator: Any) -> Any:
    """The estimator behind an encoder, fitted."""
    return make_pipeline(numbers(given.X), estimator).fit(given.X, given.y)
