"""What it is for: a network of 100 layers stays in theorem 1's range while it trains."""

import warnings

import torch
from sklearn.datasets import load_digits
from torch.nn import functional

import selfnorm
from selfnorm.errors import SelfNormWarning
from selfnorm.optim import keep_orthogonal
from selfnorm.theory import THEOREM_1

STEPS, ROWS = 40, 128


def variances(*, keep: bool) -> list[float]:
    """Of every activation at each 4th step of a training on digits."""
    torch.manual_seed(0)
    inputs, labels = (torch.from_numpy(part) for part in load_digits(return_X_y=True))
    inputs = inputs[:, inputs.std(0) > 0]
    inputs = ((inputs - inputs.mean(0)) / inputs.std(0)).float()
    weights = "orthogonal" if keep else "lecun"
    model = selfnorm.nn.MLP(inputs.shape[1], 10, width=64, depth=100, weights=weights)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    if keep:
        keep_orthogonal(optimizer, model)
    losses: list[float] = []
    with warnings.catch_warnings(), selfnorm.monitor(model, every=4) as monitor:
        if not keep:
            warnings.simplefilter("ignore", SelfNormWarning)
        for _ in range(STEPS):
            rows = torch.randperm(len(labels))[:ROWS]
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(inputs[rows]), labels[rows])
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
    if keep:
        assert sum(losses[-8:]) < 0.5 * sum(losses[:8]), "it learns meanwhile"
    history = monitor.history
    return history[history.kind == "SELUAlphaDropout"].variance.to_list()


def test_a_hundred_layers_stay_in_range_from_the_first_step_to_the_last() -> None:
    low, high = THEOREM_1.variance
    kept = variances(keep=True)
    assert len(kept) == 100 * STEPS // 4
    assert low <= min(kept)
    assert max(kept) <= high


def test_with_free_weights_they_do_not() -> None:
    assert max(variances(keep=False)) > 2 * THEOREM_1.variance[1]
