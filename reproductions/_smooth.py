"""The choice of network and step by a smoothed validation curve, as the paper's."""

import numpy as np

from reproductions._experiment import Record

WIDTH = 5  # looks; the paper's mean was over ten epochs


def smoothed(curves: np.ndarray) -> Record:
    """The best look of each member.

    Args:
        curves: Scores on validation and on test rows, (looks, 2, members).

    Returns:
        Of each member the best of the moving means of its validation scores, the test score of that
        look, and which look it is; as lists.
    """
    smooth = means(curves[:, 0])
    best = smooth.argmax(0)
    members = np.arange(curves.shape[2])
    return {
        "validated": smooth[best, members].round(5).tolist(),
        "tested": curves[best, 1, members].round(5).tolist(),
        "look": best.tolist(),
    }


def means(curves: np.ndarray) -> np.ndarray:
    """The mean of each look and those just before it, looks x members."""
    sums = np.cumsum(np.concatenate([np.zeros((1, curves.shape[1])), curves]), axis=0)
    end = np.arange(1, len(curves) + 1)
    begin = np.maximum(end - WIDTH, 0)
    return (sums[end] - sums[begin]) / (end - begin)[:, None]


def winner(record: Record) -> tuple[float, float]:
    """Validation and test score of the member that validates best."""
    place = int(np.argmax(record["validated"]))
    return record["validated"][place], record["tested"][place]
