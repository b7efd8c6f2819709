"""The modules: the functions with state, in the places of torch's own."""

import copy
import io
import math

import pytest
import torch

from selfnorm import nn, ops
from selfnorm.errors import ArgumentError
from selfnorm.theory import selu_constants, shaped_selu
from support.compare import assert_same
from support.samples import normal

DROPOUTS = [nn.AlphaDropout, nn.FeatureAlphaDropout, nn.SELUAlphaDropout]


def test_selu() -> None:
    x = normal(30)
    assert_same(nn.SELU()(x), ops.selu(x))
    assert nn.SELU(inplace=True)(x) is x


@pytest.mark.parametrize(
    ("module", "function"),
    [
        (nn.AlphaDropout, ops.alpha_dropout),
        (nn.FeatureAlphaDropout, ops.feature_alpha_dropout),
        (nn.SELUAlphaDropout, ops.selu_alpha_dropout),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_dropout_modules_are_the_functions(training: bool, module, function) -> None:
    x = normal(40, 50)
    layer = module(0.3).train(training)
    torch.manual_seed(0)
    actual = layer(x)
    torch.manual_seed(0)
    assert_same(actual, function(x, 0.3, training))
    assert module(0.3, inplace=True)(x) is x


@pytest.mark.parametrize("module", DROPOUTS)
@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_p_is_checked_when_built(p: float, module) -> None:
    with pytest.raises(ArgumentError, match=r"in \[0, 1\]; got p="):
        module(p)


def test_they_stand_where_torchs_stand() -> None:
    for name in ("SELU", "AlphaDropout", "FeatureAlphaDropout"):
        assert isinstance(getattr(nn, name)(), getattr(torch.nn, name))


def test_representation() -> None:
    assert repr(nn.SELU()) == "SELU()"
    assert repr(nn.AlphaDropout(0.1, inplace=True)) == "AlphaDropout(p=0.1, inplace=True)"
    assert repr(nn.SELUAlphaDropout(0.1)) == "SELUAlphaDropout(p=0.1, inplace=False)"
    expected = "FeatureAlphaDropout(p=0.1, inplace=False, spatial_dims=2)"
    assert repr(nn.FeatureAlphaDropout(0.1, spatial_dims=2)) == expected


@pytest.mark.parametrize("module", [nn.SELU, *DROPOUTS])
def test_copies_and_state(module) -> None:
    layer = module()
    x = normal(10, 10)
    buffer = io.BytesIO()
    torch.save(layer, buffer)
    buffer.seek(0)
    for twin in (copy.deepcopy(layer), torch.load(buffer, weights_only=False)):
        results = []
        for each in (layer, twin):
            torch.manual_seed(0)
            results.append(each(x))
        assert_same(results[1], results[0])
    assert not layer.state_dict()


@pytest.mark.parametrize("spatial_dims", [1, 2, 3])
def test_an_unbatched_sample_is_the_batch_of_one(spatial_dims: int) -> None:
    x = normal(*(40, 2, 3, 4)[: spatial_dims + 1])
    module = nn.FeatureAlphaDropout(0.5, spatial_dims=spatial_dims)
    torch.manual_seed(0)
    alone = module(x)
    torch.manual_seed(0)
    assert_same(alone, module(x.unsqueeze(0)).squeeze(0))
    torch.manual_seed(0)
    assert_same(alone, nn.FeatureAlphaDropout(0.5)(x.unsqueeze(0)).squeeze(0))


@pytest.mark.parametrize("shape", [(30, 20), (30, 20, 3), (30, 20, 3, 2), (30, 20, 3, 2, 2)])
def test_whole_channels_of_each_sample(shape: tuple[int, ...]) -> None:
    """On a constant input each channel has one value, and the samples differ."""
    z = nn.FeatureAlphaDropout(0.5)(torch.zeros(shape)).flatten(2) if len(shape) > 2 else None
    if z is None:
        z = nn.FeatureAlphaDropout(0.5)(torch.zeros(shape)).unsqueeze(-1)
    assert (z == z[..., :1]).all()
    assert len(z.unique()) == 2
    assert len({tuple(sample.tolist()) for sample in z[..., 0]}) > 1


FORMS = {
    "depth=1000, blend=0.0983": {"depth": 1000},
    "depth=100, growth=3, blend=0.391": {"depth": 100, "growth": 3.0},
    "depth=8": {"depth": 8},
    "depth=1000, growth=inf": {"depth": 1000, "growth": math.inf},
    "bidirectional=True": {"bidirectional": True},
}


@pytest.mark.parametrize("told", FORMS)
def test_other_forms_of_selu(told: str) -> None:
    """The function in that form, told as it was asked for; and so are copies."""
    selu, both = nn.SELU(**FORMS[told]), nn.SELUAlphaDropout(0.3, **FORMS[told])
    assert repr(selu) == f"SELU({told})"
    assert repr(both) == f"SELUAlphaDropout(p=0.3, inplace=False, {told})"
    assert repr(nn.SELU(True, **FORMS[told])) == f"SELU(inplace=True, {told})"
    x = normal(40)
    for module in (selu, copy.deepcopy(selu)):
        assert module.form == both.form
        assert_same(module(x), ops.selu(x, form=selu.form))
    for module in (both, copy.deepcopy(both)):
        torch.manual_seed(0)
        z = module(x)
        torch.manual_seed(0)
        assert_same(z, ops.selu_alpha_dropout(x, 0.3, True, form=both.form))


def test_which_form_a_depth_asks_for() -> None:
    assert nn.SELU(depth=1000).form == shaped_selu(1000)
    assert nn.SELU(depth=100, growth=3.0).form == shaped_selu(100, growth=3)
    assert nn.SELU(bidirectional=True).form == selu_constants(gradient_gain=1)
    assert nn.SELU().form is None
    assert nn.SELU(depth=8).form is None, "plain SELU is enough"
    assert nn.SELU(depth=1000, growth=math.inf).form is None


@pytest.mark.parametrize("module", [nn.SELU, nn.SELUAlphaDropout])
def test_wrong_forms_are_refused(module) -> None:
    with pytest.raises(ArgumentError, match=r"got depth=9 and bidirectional=True\. Leave one"):
        module(depth=9, bidirectional=True)
    with pytest.raises(ArgumentError, match=r"depth must be a whole number.*got 0"):
        module(depth=0)
    with pytest.raises(ArgumentError, match=r"growth must be above 1.*got 0.5"):
        module(depth=100, growth=0.5)
