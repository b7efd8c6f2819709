"""Predictions go as far as they are asked for, and say the same in any order."""

import torch
from torch import nn

import selfnorm
from selfnorm.auditing import _predict
from selfnorm.auditing._predict import Predictions


def layers() -> tuple[selfnorm.recording.Layer, ...]:
    torch.manual_seed(0)
    return selfnorm.audit(selfnorm.nn.MLP(16, 2, width=16, depth=6), torch.randn(64, 16)).layers


def test_no_layer_is_followed_that_nobody_asks_for(monkeypatch) -> None:
    found = layers()
    steps: list[int] = []
    step = _predict._step
    monkeypatch.setattr(
        _predict, "_step", lambda layer, *given: (steps.append(layer.index), step(layer, *given))[1]
    )
    theory = Predictions(found, _predict.STANDARD)
    third = theory.predicted(2)
    assert steps == [0, 1, 2]
    assert theory.predicted(2) is third
    assert theory.local(4) is theory.local(4)
    assert steps == [0, 1, 2, 4]


def test_the_order_of_asking_does_not_matter() -> None:
    found = layers()
    one, other = (Predictions(found, _predict.STANDARD) for _ in range(2))
    forward = [(one.predicted(k), one.local(k)) for k in range(len(found))]
    backward = [(other.predicted(k), other.local(k)) for k in reversed(range(len(found)))]
    assert forward == backward[::-1]
    assert all(predicted is not None and local is not None for predicted, local in forward)


def test_a_wrong_network_is_not_followed_to_its_end(monkeypatch) -> None:
    steps: list[int] = []
    step = _predict._step
    monkeypatch.setattr(
        _predict, "_step", lambda layer, *given: (steps.append(layer.index), step(layer, *given))[1]
    )
    torch.manual_seed(0)
    parts = [m for _ in range(24) for m in (nn.Linear(64, 64), nn.SELU())]
    report = selfnorm.audit(nn.Sequential(*parts, nn.Linear(64, 2)), torch.randn(64, 64))
    assert "variance-drift" in {finding.rule for finding in report.findings}
    assert len(steps) < len(report.layers)
