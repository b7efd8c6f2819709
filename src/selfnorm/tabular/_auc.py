"""Area under the ROC curve, for two classes and for many."""

import numpy as np


def area_under_curve(
    codes: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """How well scores tell the classes apart: 1 if they do always, 1/2 if they say nothing.

        AUC = mean over pairs of classes i != j of A(i|j)
        A(i|j) = P(a row of class i has a higher score for i than a row of class j)

    Equal scores count half. Of two classes the second's scores alone are asked. The cost is that
    of a sorted search for each class, not for each pair.

    Args:
        codes: The number of each row's class, shape (rows,); every class stands in a row.
        scores: What is said for each class, shape (rows, classes), two classes or more.
        weights: How much each row counts, shape (rows,), above 0: as many rows as that. None if
            all count the same.

    Source: Hand and Till 2001, "A simple generalisation of the area under the ROC curve for
    multiple class classification problems".

    Example:
        >>> scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]])
        >>> area_under_curve(np.array([0, 0, 1, 1]), scores)
        0.75
    """
    weights = np.ones(len(codes)) if weights is None else weights
    classes = int(codes.max()) + 1
    areas = [
        _areas(codes, weights, one, scores[:, one])
        for one in (range(classes) if classes > 2 else [1])
    ]
    return float(np.mean(areas))


def _areas(codes: np.ndarray, weights: np.ndarray, one: int, scores: np.ndarray) -> np.ndarray:
    """A(one|j) for every other class j: how many of the class's rows lie above a row of j."""
    own, rows = codes == one, np.bincount(codes, weights)
    order = np.argsort(scores[own])
    sorted_ = scores[own][order]
    up_to = np.concatenate([[0.0], np.cumsum(weights[own][order])])
    ends = (up_to[np.searchsorted(sorted_, scores, side)] for side in ("left", "right"))
    lost = np.bincount(codes, weights * sum(ends) / 2)  # exact for rows that count 1
    return np.delete(1 - lost / (rows * rows[one]), one)
