"""A DataFrame with numbers, text, dates and holes goes in as it is.

What one learns: `SelfNormClassifier` needs no preprocessing. Every kind of column becomes features
of mean 0 and variance 1, which SELU layers then keep; that a value is missing can itself be a
feature; and the estimator works inside scikit-learn's own tools, such as cross-validation.
"""

import numpy as np
import pandas as pd
from sklearn.model_selection import cross_val_score

from selfnorm import SelfNormClassifier

ROWS = 400


def patients() -> tuple[pd.DataFrame, pd.Series]:
    """A made-up table: who comes back within a month follows from all its columns."""
    rng = np.random.default_rng(0)
    age = rng.normal(55, 15, ROWS)
    ward = rng.choice(["heart", "hip", "eye"], ROWS)
    pressure = rng.normal(130, 15, ROWS)
    pressure[rng.random(ROWS) < 0.3] = np.nan  # measured only where somebody was worried
    risk = (age - 55) / 15 + 2.0 * (ward == "heart") + 2.0 * ~np.isnan(pressure) - 2.0
    frame = pd.DataFrame(
        {
            "age": age,
            "ward": ward,
            "pressure": pressure,
            "admitted": pd.Timestamp("2024-01-01")
            + pd.to_timedelta(rng.integers(0, 365, ROWS), "D"),
        }
    )
    frame.loc[rng.random(ROWS) < 0.1, "ward"] = None
    return frame, pd.Series(np.where(risk + rng.normal(0, 0.5, ROWS) > 0, "back", "home"))


def main() -> None:
    """Fit, look inside, cross-validate, and assert what the docstring says."""
    X, y = patients()
    model = SelfNormClassifier(epochs=8, random_state=0).fit(X, y)
    features = model.model_.encoder.features
    print(f"{ROWS} patients: {X.shape[1]} columns become {len(features)} features\n")
    for column in X:
        made = [feature for feature in features if feature.split("=")[0] == column]
        print(f"  {column:<9} -> {', '.join(made)}")
    variances = [layer.variance for layer in model.layers_before_]
    print(
        f"\nvariance at the start, layer 1 to {len(variances)}: "
        f"{min(variances):.2f} to {max(variances):.2f}"
    )

    scores = cross_val_score(SelfNormClassifier(epochs=8, random_state=0), X, y, cv=2)
    most = y.value_counts(normalize=True).iloc[0]
    print(f"accuracy, mean of two folds:        {scores.mean():.3f}")
    print(f"accuracy of always saying '{y.mode()[0]}':   {most:.3f}")

    assert "pressure=(missing)" in features
    assert all(0.8 < layer.variance < 1.5 for layer in model.layers_before_)
    assert scores.mean() > most + 0.2
    print("\nText, dates and holes went in as they are; a hole is a feature of its own.")


if __name__ == "__main__":
    main()
