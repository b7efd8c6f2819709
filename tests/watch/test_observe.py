"""Watching a forward pass: exact moments, and no trace left."""

import copy

import pytest
import torch
from torch import nn

from selfnorm.watch import observe


def ones(layer: nn.Linear) -> nn.Linear:
    """Every unit is the sum of the inputs."""
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


INPUTS = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])


def test_moments_are_exact() -> None:
    model = nn.Sequential(ones(nn.Linear(2, 3)), nn.ReLU(), ones(nn.Linear(3, 1)), nn.ReLU())
    first, second = observe(model, INPUTS, roles=("activation",))
    # The units are 2 and -2, after ReLU 2 and 0; the next sum three of them: 6 and 0.
    assert (first.layer, first.mean, first.variance) == ("1", 1.0, 1.0)
    assert (second.layer, second.mean, second.variance) == ("3", 3.0, 9.0)


def test_a_module_that_runs_twice_is_recorded_twice() -> None:
    shared = nn.ReLU()
    model = nn.Sequential(ones(nn.Linear(2, 2)), shared, ones(nn.Linear(2, 2)), shared)
    assert [layer.mean for layer in observe(model, INPUTS, roles=("activation",))] == [1.0, 2.0]


def test_layers_are_seen_as_training_sees_them() -> None:
    """Before the first step the running statistics of batch normalization say nothing yet."""
    model = nn.Sequential(nn.BatchNorm1d(2)).eval()
    (layer,) = observe(model, 5 * INPUTS + 7, roles=("normalization",))
    assert layer.mean == pytest.approx(0, abs=1e-6)
    assert layer.variance == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("fails", [False, True])
def test_no_trace_is_left(fails: bool) -> None:
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if fails:
                raise ValueError("odd")
            return x

    model = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(0.5), nn.ReLU(), Odd())
    model[1].eval()
    buffers = copy.deepcopy(dict(model.named_buffers()))
    random = torch.get_rng_state()
    if fails:
        with pytest.raises(ValueError, match="odd"):
            observe(model, INPUTS, roles=("activation",))
    else:
        observe(model, INPUTS, roles=("activation",))
    assert [module.training for module in model] == [True, False, True, True]
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(buffers[name], now) for name, now in model.named_buffers())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(parameter.grad is None for parameter in model.parameters())
