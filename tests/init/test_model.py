import copy
import math
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune

from selfnorm.errors import ArgumentError, SelfNormWarning, UnsupportedError
from selfnorm.init import initialize_, lecun_normal_, lecun_uniform_
from support.rounding import unit_bounds
from support.statistics import assert_moments


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_unchanged(model: nn.Module, before: dict[str, Tensor]) -> None:
    after = model.state_dict()
    assert list(after) == list(before)
    changed = [name for name in before if not torch.equal(after[name], before[name])]
    assert not changed


TRANSFORMERS = [nn.TransformerEncoderLayer, nn.TransformerDecoderLayer]


class Scaled(nn.Module):
    """A layer of the user's own, with parameters that only it understands."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.gain = nn.Parameter(torch.full((4,), 7.0))
        self.blocks = nn.ParameterList([torch.full((2,), 7.0)])


class GainedLinear(nn.Linear):
    """A subclass of a known layer, with one parameter more."""

    def __init__(self) -> None:
        super().__init__(4, 4)
        self.gain = nn.Parameter(torch.full((4,), 7.0))


@pytest.mark.parametrize(
    ("options", "fill", "more"),
    [
        ({}, lecun_normal_, {}),
        ({"truncated": True}, lecun_normal_, {"truncated": True}),
        ({"exact": True}, lecun_normal_, {"exact": True}),
        ({"distribution": "uniform", "exact": True}, lecun_uniform_, {"exact": True}),
    ],
    ids=["normal", "truncated", "exact", "uniform"],
)
def test_options_reach_every_weight_in_the_order_of_the_modules(options, fill, more) -> None:
    model = nn.Sequential(nn.Linear(5, 7), nn.SELU(), nn.LayerNorm(7), nn.Conv1d(7, 3, 2))
    assert initialize_(model, generator=seeded(), **options) is model
    generator = seeded()
    for layer in (model[0], model[3]):
        expected = fill(torch.empty_like(layer.weight), generator=generator, **more)
        assert torch.equal(layer.weight, expected)


def test_a_layer_alone_is_a_model() -> None:
    layer = initialize_(nn.Linear(50, 400), generator=seeded())
    assert_moments(layer.weight.detach() * math.sqrt(50))


def test_draws_do_not_depend_on_bias_parametrization_or_layers_without_weights() -> None:
    plain = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4))
    dressed = nn.Sequential(
        parametrizations.weight_norm(nn.Linear(6, 5, bias=False)),
        nn.BatchNorm1d(5),
        nn.SELU(),
        nn.Linear(5, 4, dtype=torch.float64),
    )
    initialize_(plain, generator=seeded())
    initialize_(dressed, generator=seeded())
    torch.testing.assert_close(dressed[0].weight, plain[0].weight)
    assert torch.equal(dressed[3].weight.float(), plain[1].weight)


def test_a_transformer_is_known_as_a_whole() -> None:
    model = nn.ModuleList([kind(16, 2, 32) for kind in TRANSFORMERS])
    initialize_(model, exact=True)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            assert parameter.detach().sum(1).abs().max() <= unit_bounds(32, torch.float32)[0], name
        else:
            assert (parameter == float("norm" in name and "weight" in name)).all(), name


def test_requires_grad_dtype_and_identity_stay() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Conv2d(3, 3, 3)).bfloat16()
    model[0].weight.requires_grad_(requires_grad=False)
    before = [(id(p), p.requires_grad, p.dtype) for p in model.parameters()]
    initialize_(model)
    assert [(id(p), p.requires_grad, p.dtype) for p in model.parameters()] == before
    assert all(p.grad_fn is None for p in model.parameters())


# What it does not know


def test_unknown_parameters_are_named_and_left() -> None:
    model = nn.Sequential(Scaled(), GainedLinear())
    with pytest.warns(SelfNormWarning) as caught:
        initialize_(model)
    (warning,) = caught
    assert str(warning.message) == (
        "initialize_ knows torch's layers and left other parameters as they were: '0.gain' "
        "(Scaled), '0.blocks.0' (ParameterList), '1.gain' (GainedLinear). Name the fan-in of "
        "matrices in fan_in; initialize the rest yourself and name it in skip."
    )
    assert warning.filename == __file__
    for parameter in (model[0].gain, model[0].blocks[0], model[1].gain):
        assert (parameter == 7).all()
    assert not model[0].linear.bias.any()
    assert not model[1].bias.any()


def test_an_unknown_parameter_that_is_parametrized_is_named_once() -> None:
    layer = GainedLinear()
    parametrize.register_parametrization(layer, "gain", Doubled())
    with pytest.warns(SelfNormWarning, match=r"were: 'gain' \(ParametrizedGainedLinear\)\. Name"):
        initialize_(layer)
    initialize_(layer, skip="gain")


def test_skip_leaves_modules_and_parameters_without_a_word() -> None:
    model = nn.Sequential(Scaled(), GainedLinear(), nn.Linear(4, 4))
    before = state(model)
    initialize_(model, skip=("0", "1.gain", "2.bias"))
    after = model.state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same == {"0.gain", "0.linear.weight", "0.linear.bias", "0.blocks.0", "1.gain", "2.bias"}


def test_skip_takes_one_name() -> None:
    model = nn.Sequential(nn.Linear(3, 3))
    before = state(model)
    initialize_(model, skip="0")
    assert_unchanged(model, before)


def test_a_skipped_weight_stays_where_it_is_shared() -> None:
    model = nn.ModuleDict({"embed": nn.Embedding(5, 4), "out": nn.Linear(4, 5)})
    model["out"].weight = model["embed"].weight
    before = state(model)
    initialize_(model, skip=["out.weight"])
    assert torch.equal(model["embed"].weight, before["embed.weight"])
    assert not model["out"].bias.any()


def test_skip_names_what_exists() -> None:
    model = nn.Sequential(nn.Linear(3, 3))
    before = state(model)
    with pytest.raises(ArgumentError, match=r"none called '1', '0\.scale'\. named_modules\(\)"):
        initialize_(model, skip=["0", "1", "0.scale"])
    assert_unchanged(model, before)


class Columns(nn.Module):
    """A linear layer of one's own, whose units are columns."""

    def __init__(self, inputs: int = 256, units: int = 64) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.rand(inputs, units))
        self.bias = nn.Parameter(torch.ones(units))
        self.gain = nn.Parameter(torch.ones(1, 1))


@pytest.mark.parametrize("distribution", ["normal", "uniform", "orthogonal"])
def test_what_it_does_not_know_is_drawn_by_its_fan_in(distribution: Any) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(Columns(), nn.Linear(64, 8))
    with pytest.warns(SelfNormWarning, match=r"were: '0\.gain' \(Columns\)\."):
        initialize_(model, fan_in={"0.matrix": 256}, distribution=distribution)
    assert_moments(model[0].matrix.detach() * 16)
    assert not model[0].bias.any()
    assert (model[0].gain == 1).all()


@pytest.mark.parametrize(
    ("fan_in", "options", "says"),
    [
        ({"1.weight": 64}, {}, "got '1.weight', and it knows that one's by itself"),
        ({"0.weight": 64}, {}, "got '0.weight', and the model has none"),
        ({"0.matrix": 0}, {}, "a whole number of 1 or more; got 0 for '0.matrix'"),
        ({"0.matrix": 256}, {"exact": True}, "fan_in does not say which ones these are"),
    ],
)
def test_a_fan_in_is_of_what_it_does_not_know(
    fan_in: dict[str, int], options: dict[str, bool], says: str
) -> None:
    model = nn.Sequential(Columns(), nn.Linear(64, 8))
    before = state(model)
    with pytest.raises(ArgumentError, match=says):
        initialize_(model, fan_in=fan_in, **options)
    assert_unchanged(model, before)


@pytest.mark.filterwarnings("ignore:.*quanti")
def test_quantized_layers_are_named() -> None:
    """Torch's own keep their weights outside of tensors, others codes in buffers."""
    kinds = {nn.Linear, nn.LSTM, nn.Embedding}
    plain = nn.Sequential(nn.Linear(4, 5), nn.LSTM(5, 3))
    model = nn.Sequential(torch.ao.quantization.quantize_dynamic(plain, kinds), nn.Linear(3, 3))
    model.append(Coded())
    message = (
        r"left quantized ones as they were: '0\.0\._packed_params\._packed_params' "
        r"\(LinearPackedParams\), '0\.1\._all_weight_values\.0\.param' \(PackedParameter\), "
        r"'2\.qweight' \(Coded\)\. Initialize the model before it is quantized, or name them in"
    )
    with pytest.warns(SelfNormWarning, match=message):
        initialize_(model)
    assert not model[1].bias.any()
    initialize_(model, skip=["0", "2.qweight"])


class Coded(nn.Module):
    """A quantized layer as libraries write them: codes, scales, and no parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("qweight", torch.zeros(4, 4, dtype=torch.int32))
        self.register_buffer("scales", torch.zeros(4, 4))
        self.register_buffer("zeros", torch.zeros(4, dtype=torch.int32))


def test_buffers_of_indices_masks_and_tables_are_not_taken_for_weights() -> None:
    module = nn.Sequential(nn.Linear(4, 4))
    module.register_buffer("position_ids", torch.arange(8)[None])
    module.register_buffer("mask", torch.ones(4, 4, dtype=torch.bool))
    module.register_buffer("table", torch.ones(4, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        initialize_(module)


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_scripted_layers_are_named_by_their_parameters() -> None:
    model = nn.Sequential(torch.jit.script(nn.Linear(4, 4)), nn.Linear(4, 4))
    with pytest.warns(SelfNormWarning, match=r"were: '0.weight' .*, '0.bias' .*") as caught:
        initialize_(model)
    assert len(caught) == 1


# Shared weights


def test_of_a_tied_embedding_and_decoder_the_smaller_variance_wins() -> None:
    for order in (("embed", "out"), ("out", "embed")):
        layers = {"embed": nn.Embedding(3000, 16, padding_idx=0), "out": nn.Linear(16, 3000)}
        model = nn.ModuleDict({name: layers[name] for name in order})
        model["out"].weight = model["embed"].weight
        with pytest.warns(
            SelfNormWarning, match=r"the smaller .*; 'embed.weight' \(Embedding\) did not get"
        ):
            initialize_(model, generator=seeded())
        assert model["out"].weight is model["embed"].weight
        assert_moments(model["out"].weight.detach() * math.sqrt(16))


def test_weights_that_agree_and_shared_modules_are_drawn_once() -> None:
    shared = nn.Linear(8, 8)
    model = nn.ModuleList([shared, nn.Linear(8, 8), shared])
    model[1].weight = shared.weight
    initialize_(model, generator=seeded())
    assert torch.equal(
        shared.weight, lecun_normal_(torch.empty(8, 8), generator=seeded()).requires_grad_()
    )


def test_a_known_weight_that_another_module_holds_is_not_unknown() -> None:
    model = Scaled()
    model.gain = model.linear.weight
    initialize_(model, skip="blocks")


# Parametrized weights


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("kind", [nn.Linear, lambda a, b: nn.ConvTranspose1d(a, b, 4, stride=2)])
def test_weight_norm_holds_the_weights(kind, dim, exact: bool) -> None:
    layer = parametrizations.weight_norm(kind(20, 300).double(), dim=dim)
    plain = kind(20, 300).double()
    pointer = [id(p) for p in layer.parameters()]
    initialize_(layer, exact=exact, generator=seeded())
    initialize_(plain, exact=exact, generator=seeded())
    torch.testing.assert_close(layer.weight, plain.weight)
    assert [id(p) for p in layer.parameters()] == pointer
    assert all(p.requires_grad for p in layer.parameters())


def test_a_parametrized_recurrent_layer_computes_with_the_new_weights() -> None:
    layer = parametrizations.weight_norm(nn.LSTM(3, 4), "weight_hh_l0")
    plain = nn.LSTM(3, 4)
    initialize_(layer, generator=seeded())
    initialize_(plain, generator=seeded())
    steps = torch.ones(5, 1, 3)
    torch.testing.assert_close(layer(steps)[0], plain(steps)[0])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "parametrization",
    [
        parametrizations.spectral_norm,
        parametrizations.orthogonal,
        lambda layer: parametrizations.orthogonal(layer, use_trivialization=False),
        lambda layer: parametrize.register_parametrization(layer, "weight", Doubled()),
    ],
    ids=["spectral_norm", "orthogonal", "cayley", "no inverse"],
)
def test_weights_that_are_not_free_are_named_and_put_back(parametrization, training) -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6)).train(training)
    parametrization(model[0])
    before = state(model[0])
    held = copy.deepcopy(model[0]).eval().weight.clone()
    with pytest.warns(
        SelfNormWarning, match=r"as they were: '0.weight' \(ParametrizedLinear\). Initialize before"
    ):
        initialize_(model)
    before["bias"] = torch.zeros(6)
    assert_unchanged(model[0], before)
    assert torch.equal(model[0].eval().weight, held)
    assert not model[1].bias.any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        initialize_(model, skip="0.weight")


class Doubled(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight


class LowRank(nn.Module):
    """A parametrization with parameters of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.update = nn.Parameter(torch.zeros(6, 6))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.update

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight - self.update


def test_parameters_of_a_parametrization_are_named() -> None:
    layer = nn.Linear(6, 6)
    parametrize.register_parametrization(layer, "weight", LowRank())
    with pytest.warns(SelfNormWarning, match=r"parametrizations.weight.0.update' \(LowRank\)"):
        initialize_(layer, generator=seeded())
    assert torch.equal(layer.weight, initialize_(nn.Linear(6, 6), generator=seeded()).weight)


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
@pytest.mark.parametrize(
    "hook",
    [
        nn.utils.weight_norm,
        nn.utils.spectral_norm,
        lambda layer: prune.random_unstructured(layer, "weight", amount=2),
    ],
    ids=["weight_norm", "spectral_norm", "prune"],
)
def test_weights_that_a_hook_computes_are_refused(hook) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    hook(model[1])
    before = state(model)
    with pytest.raises(UnsupportedError, match=r"'1.weight' \(Linear\) is computed by a hook"):
        initialize_(model)
    assert_unchanged(model, before)
    initialize_(model, skip="1")
    assert not model[0].bias.any()


# Errors come before any change


@pytest.mark.parametrize(
    ("lazy", "names"),
    [
        (nn.LazyLinear(3), r"'1.weight' \(LazyLinear\), '1.bias' \(LazyLinear\)"),
        (nn.LazyConvTranspose2d(3, 2), r"'1.weight' \(LazyConvTranspose2d\)"),
        (nn.LazyBatchNorm1d(), r"'1.weight' \(LazyBatchNorm1d\)"),
    ],
)
def test_lazy_modules_are_named(lazy, names) -> None:
    model = nn.Sequential(nn.Linear(4, 4), lazy)
    before = state(model[0])
    with pytest.raises(ArgumentError, match=f"shape .* {names}.* Run one batch"):
        initialize_(model)
    assert_unchanged(model[0], before)


def test_a_lazy_module_that_has_run_is_an_ordinary_one() -> None:
    model = nn.Sequential(nn.LazyLinear(300))
    model(torch.zeros(1, 50))
    initialize_(model, generator=seeded())
    assert_moments(model[0].weight.detach() * math.sqrt(50))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(1, 4),
        nn.Conv2d(4, 4, 1, groups=4),
        nn.ConvTranspose1d(4, 4, 3, stride=2, groups=4),
        nn.Embedding(3, 1),
        nn.LSTM(1, 4),
    ],
    ids=str,
)
def test_exact_names_the_unit_with_one_weight(layer) -> None:
    model = nn.Sequential(nn.Linear(4, 4), layer)
    before = state(model)
    name = "weight_ih_l0" if isinstance(layer, nn.LSTM) else "weight"
    with pytest.raises(
        ArgumentError, match=rf"'1.{name}' \({type(layer).__name__}\) has one a unit. Leave exact"
    ):
        initialize_(model, exact=True)
    assert_unchanged(model, before)
    initialize_(model)


def test_complex_and_integer_weights_are_refused() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4, dtype=torch.complex64))
    before = state(model)
    with pytest.raises(UnsupportedError, match=r"'1.weight' \(Linear\) has dtype torch.complex64"):
        initialize_(model)
    assert_unchanged(model, before)
    model[1].weight = nn.Parameter(torch.zeros(4, 4, dtype=torch.int8), requires_grad=False)
    with pytest.raises(UnsupportedError, match=r"has dtype torch.int8. Initialize the floating"):
        initialize_(model)


def test_distribution_is_one_of_two() -> None:
    with pytest.raises(ArgumentError, match="'orthogonal' or 'isometric'; got 'cauchy'"):
        initialize_(nn.Linear(2, 2), distribution="cauchy")
    with pytest.raises(ArgumentError, match="cuts the tails of a normal distribution"):
        initialize_(nn.Linear(2, 2), distribution="uniform", truncated=True)


def test_on_the_meta_device_nothing_is_drawn_until_there_is_memory() -> None:
    with torch.device("meta"):
        model = initialize_(nn.Sequential(nn.Linear(50, 400), nn.GRU(4, 4)), generator=seeded())
    initialize_(model.to_empty(device="cpu"), generator=seeded())
    assert_moments(model[0].weight.detach() * math.sqrt(50))


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors:UserWarning")  # torch's own
def test_layers_without_weights_or_elements_pass() -> None:
    initialize_(nn.SELU())
    initialize_(nn.Sequential(nn.Linear(0, 3), nn.Linear(3, 0)), exact=True)
