"""Output layers are scaled by what rows tell that networks did not learn from."""

from typing import Any

import numpy as np
import pytest
import torch

from selfnorm.nn import MLP
from selfnorm.tabular import SelfNormClassifier, SelfNormRegressor
from selfnorm.tabular._scaled import scale
from selfnorm.tabular.encoding._target import ClassTarget
from selfnorm.training import Rows

RNG = np.random.default_rng(0)
X = RNG.normal(size=(1600, 6))
Y = X[:, :3].sum(1)


def _slope(said: np.ndarray, truth: np.ndarray) -> float:
    """How far predictions go, as a multiple of how far the truth goes; 1 where they are right."""
    return float(np.polyfit(truth, said, 1)[0])


def test_a_plain_sum_is_learned_nearly_exactly() -> None:
    """Alpha dropout lets numbers go too far by a third, three layers deep."""
    how: dict[str, Any] = {"infinite": False, "width": 32, "n_estimators": 4}
    model = SelfNormRegressor(**how, random_state=0).fit(X[:1000], Y[:1000])
    assert model.model_.finite[0].get_submodule("selu3") is not None
    said = model.predict(X[1000:])
    assert model.score(X[1000:], Y[1000:]) > 0.99
    assert _slope(said, Y[1000:]) == pytest.approx(1, abs=0.03)
    masked, _ = model.predict(X[1000:], return_std=True, mc=20)
    assert _slope(masked, Y[1000:]) == pytest.approx(1, abs=0.06)
    truth = Y[:1000] - Y[:1000].mean()
    told = model.oof_prediction_ - Y[:1000].mean()
    assert (told @ truth) / (told @ told) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    "how", [{"n_estimators": 1}, {"n_estimators": 1, "validation": 0}, {"validation": 0}]
)
def test_numbers_do_not_go_too_far_in_other_ways_to_fit(how: dict[str, Any]) -> None:
    few: dict[str, Any] = {"dropout": 0.1, "depth": 3, "epochs": 12, "preset": "fast"}
    model = SelfNormRegressor(**few | how, random_state=0).fit(X[:1000], Y[:1000])
    assert _slope(model.predict(X[1000:]), Y[1000:]) == pytest.approx(1, abs=0.1)


def test_classes_that_are_too_sure_are_told_so() -> None:
    """What a network says of rows is told after the scaling, which is a factor on all logits."""
    target = ClassTarget("y", (0, 1, 2), (1 / 3,) * 3)
    network = MLP(6, 3, width=8, depth=1, members=2, generator=torch.Generator().manual_seed(0))
    network, inputs = network.double(), torch.from_numpy(X)
    before = network(inputs)
    sure = torch.distributions.Categorical(logits=before[0] / 4)
    torch.manual_seed(0)
    rows = Rows(inputs, sure.sample())
    left_out = torch.tensor([True, False]).expand(len(inputs), 2)
    every, first = scale(network.eval(), network, target, rows, left_out)
    after = network(inputs)
    factor = float((after / before).detach().mean())
    assert 0.15 < factor < 0.4
    torch.testing.assert_close(after, factor * before)
    torch.testing.assert_close(every, after[0].log_softmax(1))
    torch.testing.assert_close(first, every)


def test_what_is_learned_bit_by_bit_does_not_go_too_far() -> None:
    """Nothing scales what `partial_fit` learns, so it has no dropout unless it is asked for."""
    model = SelfNormRegressor(preset="fast", learning_rate=0.004, random_state=0)
    for _ in range(8):
        model.partial_fit(X[:1000], Y[:1000])
    assert _slope(model.predict(X[1000:]), Y[1000:]) == pytest.approx(1, abs=0.05)
    asked = SelfNormClassifier(preset="fast").partial_fit(X[:99], Y[:99] > 0, classes=[0, 1])
    assert asked.model_.architectures[0].dropout > 0
