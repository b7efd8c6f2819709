"""The area under the ROC curve, beside scikit-learn's and where it is known."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from selfnorm.tabular._auc import area_under_curve
from support.tolerances import MEAN_OF_EXACT


@pytest.mark.parametrize("classes", range(2, 13))
@pytest.mark.parametrize("ties", [False, True])
def test_scikit_learn_says_the_same(classes: int, ties: bool) -> None:
    random = np.random.default_rng(classes)
    for rows in (classes, 2 * classes, 60):
        codes = np.r_[np.arange(classes), random.integers(0, classes, rows - classes)]
        scores = random.random((rows, classes))
        if ties:
            scores = np.ceil(4 * scores)
        scores /= scores.sum(1, keepdims=True)
        asked = scores[:, 1] if classes == 2 else scores
        expected = roc_auc_score(codes, asked, multi_class="ovo", labels=range(classes))
        assert area_under_curve(codes, scores) == pytest.approx(expected, rel=MEAN_OF_EXACT)


@pytest.mark.parametrize("classes", [2, 3, 200])
def test_closed_forms(classes: int) -> None:
    codes = np.repeat(np.arange(classes), 3)
    right = np.eye(classes)[codes]
    assert area_under_curve(codes, right) == 1.0
    assert area_under_curve(codes, 1 - right) == 0.0
    assert area_under_curve(codes, np.full_like(right, 1 / classes)) == 0.5
    # One class is told from all others, and nothing else is: its own pairs, one way, are right.
    first = right * (np.arange(classes) == 1)
    expected = 1.0 if classes == 2 else 0.5 + 0.5 / classes
    assert area_under_curve(codes, first) == pytest.approx(expected, rel=MEAN_OF_EXACT)
