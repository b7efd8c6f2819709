"""Settings tried side by side, here by threads, on a cluster by Dask's workers: the same result.

What one learns: an estimator is scikit-learn's, so whatever runs joblib's tasks runs the trials of
a search. `joblib.parallel_config("dask")` within a `dask.distributed.Client` sends them to its
workers, as `selfnorm fit --tune 20 --scheduler ADDRESS` does; `--jobs 8` keeps them here. A trial's
random numbers belong to its seed and not to who runs it, so the same settings win.
"""

import joblib
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV

from selfnorm.tabular import SelfNormClassifier

SETTINGS = {"depth": [1, 2]}


def search(backend: str, jobs: int) -> GridSearchCV:
    """Each setting, judged by two folds."""
    table, cultivar = load_wine(return_X_y=True)
    model = SelfNormClassifier(n_estimators=2, infinite=False, width=16, epochs=2, random_state=0)
    with joblib.parallel_config(backend, n_jobs=jobs):
        return GridSearchCV(model, SETTINGS, cv=2, refit=False).fit(table, cultivar)


def main() -> None:
    """One after another, then two at a time."""
    alone = search("sequential", 1)
    together = search("threading", 2)
    for depth, score in zip(
        SETTINGS["depth"], together.cv_results_["mean_test_score"], strict=True
    ):
        print(f"depth {depth}: accuracy {score:.3f}")
    print(f"best, one after another and side by side: {together.best_params_}")
    assert together.best_params_ == alone.best_params_
    assert together.best_score_ == alone.best_score_


if __name__ == "__main__":
    main()
