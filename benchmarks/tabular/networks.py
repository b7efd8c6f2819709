"""Networks: ours, RealMLP and xRFM as pytabkit sets them up; TabM has a file of its own.

Each takes rows that validate from the training rows by itself.
"""

from typing import Any

from sklearn.pipeline import make_pipeline

from benchmarks.tabular._encode import complete
from benchmarks.tabular._given import Given
from benchmarks.tabular.variants import DEFAULT, VARIANTS, Variant
from selfnorm.tabular import SelfNormClassifier, SelfNormRegressor


def selfnorm(given: Given, variant: Variant = VARIANTS[DEFAULT]) -> Any:
    """Our estimator, with its defaults if the variant is none; takes tables as they are."""
    estimator = given.either(SelfNormClassifier, SelfNormRegressor)
    return variant(estimator, {"random_state": given.seed}).fit(given.X, given.y)


def realmlp(given: Given) -> Any:
    """RealMLP-TD (Holzmueller et al. 2024)."""
    from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

    return _pytabkit(given, given.either(RealMLP_TD_Classifier, RealMLP_TD_Regressor))


def xrfm(given: Given) -> Any:
    """XRFM (Beaglehole et al. 2025): kernels that learn their features, in trees."""
    from pytabkit import XRFM_D_Classifier, XRFM_D_Regressor

    return _pytabkit(given, given.either(XRFM_D_Classifier, XRFM_D_Regressor))


def _pytabkit(given: Given, estimator: Any) -> Any:
    """One of pytabkit's estimators on a CPU; they take categories, but nothing that is missing."""
    model = estimator(device="cpu", random_state=given.seed, n_threads=given.threads)
    return make_pipeline(complete(given.X), model).fit(given.X, given.y)
