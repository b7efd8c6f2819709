"""Residual sums that keep the variance."""

import math

import pytest
import torch
from torch.nn import Identity, Linear, Sequential

import selfnorm
from selfnorm.errors import ArgumentError
from selfnorm.nn import SELU, Residual
from support.compare import assert_close, assert_same
from support.samples import normal
from support.statistics import assert_moments
from support.tolerances import SAME_UP_TO_ROUNDING

ROUNDING = SAME_UP_TO_ROUNDING[torch.float32]


class Other(torch.nn.Module):
    """Something of variance 1 that does not depend on the input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return normal(*x.shape, seed=1)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("learnable", [False, True])
def test_any_share_keeps_the_variance(share: float, learnable: bool) -> None:
    layer = Residual(Other(), share=share, learnable=learnable)
    x = normal(20_000)
    out = layer(x)
    expected = math.sqrt(1 - share) * x + math.sqrt(share) * normal(20_000, seed=1)
    assert_close(out, expected, ROUNDING)
    assert_moments(out.detach().numpy())
    assert math.isclose(layer.share, share, abs_tol=ROUNDING)


def test_whatever_is_learned_keeps_the_variance() -> None:
    layer = Residual(Other(), learnable=True)
    layer(normal(50)).square().sum().backward()
    with torch.no_grad():
        assert layer.angle.grad
        layer.angle.fill_(4.0)
    assert_moments(layer(normal(20_000)).detach().numpy())


def test_fifty_blocks() -> None:
    torch.manual_seed(0)
    blocks = Sequential(*(Residual(Sequential(Linear(256, 256), SELU())) for _ in range(50)))
    selfnorm.init.initialize_(blocks)
    selfnorm.testing.assert_self_normalizing(blocks, normal(512, 256))


def test_a_shortcut_changes_the_width() -> None:
    layer = Residual(Linear(3, 5), Linear(3, 5))
    assert layer(normal(7, 3)).shape == (7, 5)
    with pytest.raises(ArgumentError, match=r"one shape; got \(7, 5\) and \(7, 3\)"):
        Residual(Linear(3, 5))(normal(7, 3))


def test_a_fixed_share_is_no_state_and_a_learned_one_starts_again() -> None:
    assert not Residual(Identity()).state_dict()
    layer = Residual(Identity(), share=0.2, learnable=True)
    with torch.no_grad():
        layer.angle.fill_(1.0)
    selfnorm.init.initialize_(layer)  # a warning, which says that it is not known, would fail
    assert math.isclose(layer.share, 0.2, abs_tol=ROUNDING)


@pytest.mark.parametrize("share", [-0.1, 1.5, math.nan])
def test_a_share_is_in_0_to_1(share: float) -> None:
    with pytest.raises(ArgumentError, match=r"share must be in \[0, 1\]"):
        Residual(Identity(), share=share)


@pytest.mark.parametrize("learnable", [False, True])
def test_export_trace_and_script(learnable: bool) -> None:
    layer = Residual(Linear(3, 3), share=0.3, learnable=learnable).eval()
    x = normal(5, 3)
    expected = layer(x).detach()
    for way in (
        torch.export.export(layer, (x,)).module(),
        torch.jit.trace(layer, (x,)),
        torch.jit.script(layer),
    ):
        assert_same(way(x).detach(), expected)
