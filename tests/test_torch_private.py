"""Without any one of torch's private names everything computes the same, if more slowly."""

from collections.abc import Mapping

import pytest
import torch
from torch import nn

import selfnorm
from selfnorm import _torch_private
from selfnorm.ops import _direct
from support.compare import assert_close
from support.samples import normal
from support.tolerances import SAME_UP_TO_ROUNDING

P = 0.3


@pytest.fixture(params=sorted(_torch_private.NAMES))
def missing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A name that torch has no more."""
    have = {
        name: value for name, value in _torch_private.look_up().items() if name != request.param
    }
    monkeypatch.setattr(_torch_private, "ways", _torch_private.build(have))
    return request.param


def results() -> list[torch.Tensor]:
    """Values, first and second derivatives, in both modes and under vmap, out of and in place."""
    found: list[torch.Tensor] = []
    for inplace in (False, True):
        x = normal(300).double().requires_grad_()
        torch.manual_seed(3)
        z = selfnorm.selu_alpha_dropout(x * 1, P, True, inplace)
        (first,) = torch.autograd.grad(z.square().sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), x)
        torch.manual_seed(3)
        dropped = selfnorm.alpha_dropout(x.detach() * 1, P, True, inplace)
        found += [z.detach(), first.detach(), second, dropped]
    tangent = torch.func.jvp(selfnorm.selu, (normal(30).double(),), (normal(30).double(),))
    found += [*tangent, torch.func.vmap(selfnorm.selu)(normal(120).view(4, 30))]
    return found


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch's own call
def test_nothing_changes_but_time(missing: str) -> None:
    found = results()
    with pytest.MonkeyPatch.context() as complete:
        complete.setattr(_torch_private, "ways", _torch_private.build(_torch_private.look_up()))
        expected = results()
    # Where the long way is composed of torch's own operations, a rounding differs.
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other, SAME_UP_TO_ROUNDING[one.dtype])


def test_a_leaf_in_place_is_refused(missing: str) -> None:
    x = normal(8).requires_grad_()
    for leaf in (x, x[2:]):
        with pytest.raises(RuntimeError, match="leaf"):
            selfnorm.selu(leaf, inplace=True)


def test_audits_and_conversions_take_nested_inputs(missing: str) -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = selfnorm.nn.MLP(64, 8, depth=2), nn.Linear(64, 8)

        def forward(self, inputs: Mapping[str, torch.Tensor], more: list[torch.Tensor]):
            return {"sum": self.first(inputs["x"]) + self.second(more[0])}

    torch.manual_seed(0)
    given = ({"x": torch.randn(64, 64)}, [torch.randn(64, 64)])
    report = selfnorm.audit(Pair(), given)
    assert [layer.module for layer in report.layers][:2] == ["first.linear1", "first.selu1"]
    assert report.layers[0].gradient > 0
    selfnorm.convert(Pair(), example=given)


def test_the_short_way_is_closed_where_torch_does_not_tell_who_listens(missing: str) -> None:
    asked = missing in _torch_private._ASKED
    assert _torch_private.ways.nobody_listens(normal(3)) is not asked
    assert not (asked and _direct.possible(normal(3)))


def test_every_name_is_there_in_the_torch_that_is_tested() -> None:
    assert set(_torch_private.look_up()) == set(_torch_private.NAMES)
