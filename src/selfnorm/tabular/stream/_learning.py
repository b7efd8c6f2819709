"""What networks take in memory while they learn, and while they predict: about, and rather more."""

from collections.abc import Sequence
from itertools import pairwise

from selfnorm.nn._widths import hidden_widths
from selfnorm.tabular._settings import Settings

# Measured as the peak of a fit's resident memory beyond its rows, and beyond the same process with
# small networks behind it: eight of width 128 and 512, one of 1,024, sixteen of 128 with
# mini-batches of 1,024 (torch 2.13.0, CPU, one thread). Without a checkpoint it is 9 times the
# weights (they themselves, a gradient, AdamW's averages, the best epoch's, and what a step or the
# ensemble takes); while one is written its state stands there twice more, as safetensors has it.
_WEIGHTS = 16
_LAYERS = 3  # times the outputs of all layers of a mini-batch, and its rows
_OTHERS = 2 * 10**7  # rows on which layers are watched, masks, and what a fit makes once
_FLOAT = 4  # bytes
_BLOCK = 8192  # rows that a thread predicts at a time
_BLOCKS = 1.5  # times their features: encoded, and as the first layer has them


def learning(settings: Settings, rows: int, features: int, outputs: int = 2) -> float:
    """Bytes that networks take with optimizer, mini-batch and a checkpoint as it is written.

    Of several shapes, which are trained one after the other, the largest counts, and the weights of
    all others.

    Args:
        settings: What is trained.
        rows: How many there are to train with.
        features: Of each of them.
        outputs: What a network says of a row.
    """
    each: list[float] = []
    weights: list[float] = []
    for one in settings.portfolio(rows):
        shape = one.architecture
        widths = hidden_widths(shape.width, shape.depth, shape.shape, outputs)
        weights.append(_FLOAT * shape.n_estimators * _parameters([features, *widths, outputs]))
        batch = one.options.batch_rows(rows) * shape.n_estimators
        layers = _FLOAT * batch * (features + sum(widths))
        each.append((_WEIGHTS - 1) * weights[-1] + _LAYERS * layers)
    return max(each) + sum(weights) + _OTHERS


def predicting(features: int) -> float:
    """Bytes of a block that is predicted and of one that waits, as of one thread.

    Each more has one more; they are not counted, as what is mixed with what would depend on them.
    """
    return 2 * _FLOAT * _BLOCKS * _BLOCK * features


def _parameters(sizes: Sequence[int]) -> int:
    return sum((inputs + 1) * units for inputs, units in pairwise(sizes))
