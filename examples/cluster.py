"""Settings tried on a cluster: the trials of a search run on the workers of Dask.

What one learns: `joblib.parallel_config("dask")` inside a client is all that changes; a trial's
random numbers are its own seed's, so a cluster finds what one machine finds. Here two workers on
this machine stand for it; `LocalCluster` becomes the address of a scheduler, `tcp://host:8786`.
On the command line the same is `selfnorm fit TABLE --tune 50 --scheduler tcp://host:8786`.

    pip install distributed
"""

import joblib
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV

from selfnorm import SelfNormClassifier

import distributed  # isort: skip - of this example alone


def searched() -> dict[str, object]:
    """The best of four settings."""
    X, y = load_wine(return_X_y=True, as_frame=True)
    settings = {"depth": [1, 4], "dropout": [0.0, 0.1]}
    model = SelfNormClassifier(epochs=5, n_estimators=2, infinite=False, random_state=0)
    search = GridSearchCV(model, settings, cv=2, scoring="neg_log_loss").fit(X, y)
    return {**search.best_params_, "log loss": round(float(-search.best_score_), 4)}


def main() -> None:
    """The same search here and there."""
    here = searched()
    print("one after another:", here)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as two,
        distributed.Client(two) as client,
        joblib.parallel_config("dask"),
    ):
        there = searched()
        print("by the workers:   ", there)
        print("workers:          ", len(client.scheduler_info()["workers"]))
    assert there == here, "the same seeds, the same trials"


if __name__ == "__main__":
    main()
