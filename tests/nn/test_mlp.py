"""The deep plain network: its shape, its start, its depth."""

import math

import pytest
import torch
from torch._subclasses import FakeTensorMode

from selfnorm.errors import ArgumentError, UnsupportedError
from selfnorm.init import initialize_
from selfnorm.nn import MLP, SELUAlphaDropout, hidden_widths
from selfnorm.theory import shaped_selu
from selfnorm.watch import observe
from support.compare import assert_close
from support.tolerances import FINITE_WIDTH, SAME_UP_TO_ROUNDING


def test_a_thousand_layers_keep_mean_and_variance() -> None:
    """The paper's claim, at a depth where any drift shows: 1.01**1000 is 20,000."""
    torch.manual_seed(0)
    inputs = torch.randn(256, 64)
    model = MLP(64, 1, width=256, depth=1000)
    layers = observe(model, inputs, roles=("activation",))
    assert len(layers) == 1000
    assert max(abs(layer.mean) for layer in layers) < 0.1
    assert min(layer.variance for layer in layers) > 0.8
    assert max(layer.variance for layer in layers) < 1.5


@pytest.mark.parametrize("dropout", [0.05, 0.2])
def test_dropout_keeps_them_too(dropout: float) -> None:
    torch.manual_seed(0)
    model = MLP(64, 1, width=256, depth=64, dropout=dropout)
    layers = observe(model, torch.randn(512, 64), roles=("activation",))
    assert max(abs(layer.mean) for layer in layers) < 0.1
    assert min(layer.variance for layer in layers) > 0.8
    assert max(layer.variance for layer in layers) < 1.5


def test_torchs_own_start_would_fail_that_test() -> None:
    torch.manual_seed(0)
    model = MLP(64, 1, width=256, depth=30)
    for layer in model:
        if isinstance(layer, torch.nn.Linear):
            layer.reset_parameters()
    layers = observe(model, torch.randn(256, 64), roles=("activation",))
    assert layers[-1].variance < 0.1


def test_orthogonal_weights_with_selu_shaped_for_the_depth() -> None:
    """Mean and variance are kept, and gradients grow by what is allowed; plain SELU's by 10^9."""
    torch.manual_seed(0)
    model = MLP(64, 1, width=256, depth=300, weights="orthogonal")
    assert {layer.form for layer in selus(model)} == {shaped_selu(300)}
    weight = model.linear50.weight.detach()
    assert_close(weight @ weight.T, torch.eye(256), SAME_UP_TO_ROUNDING[torch.float32])
    gradients: list[torch.Tensor] = []
    for k in (1, 300):
        getattr(model, f"selu{k}").register_full_backward_hook(
            lambda *seen: gradients.append(seen[1][0])
        )
    hidden = model[:-1](torch.randn(256, 64))
    assert abs(hidden.mean()) < FINITE_WIDTH
    assert abs(hidden.var() - 1) < FINITE_WIDTH
    hidden.backward(torch.randn_like(hidden))
    last, first = (float(gradient.square().mean()) for gradient in gradients)
    assert abs(first / last / 2 - 1) < FINITE_WIDTH


def test_which_form_of_selu_a_network_takes() -> None:
    def form(**how: object) -> object:
        (found,) = {layer.form for layer in selus(MLP(4, 1, width=4, **how))}
        return found

    assert form(depth=100) is None
    assert form(depth=100, weights="orthogonal") == shaped_selu(100)
    assert form(depth=8, weights="orthogonal") is None, "plain SELU is enough"
    assert form(depth=100, weights="orthogonal", growth=math.inf) is None
    assert form(depth=100, growth=3.0) == shaped_selu(100, growth=3)
    assert not MLP(4, 1, depth=100, growth=3.0).selu1.inplace, "its input would be copied"
    plain = MLP(4, 1, depth=100)
    assert repr(plain.selu1) == "SELUAlphaDropout(p=0.0, inplace=True)"
    with pytest.raises(ArgumentError, match="one of 'lecun', 'orthogonal'; 'square' came"):
        MLP(4, 1, weights="square")
    with pytest.raises(ArgumentError, match="growth must be above 1"):
        MLP(4, 1, growth=1.0)


def selus(model: MLP) -> list[SELUAlphaDropout]:
    return [layer for layer in model if isinstance(layer, SELUAlphaDropout)]


def test_layers_are_named_in_order() -> None:
    model = MLP(5, 2, width=8, depth=2)
    assert [name for name, _ in model.named_children()] == [
        "linear1",
        "selu1",
        "linear2",
        "selu2",
        "output",
    ]
    assert model(torch.zeros(3, 7, 5)).shape == (3, 7, 2)


def test_a_slice_is_the_layers_in_it() -> None:
    torch.manual_seed(0)
    model = MLP(5, 2, width=8, depth=2)
    inputs = torch.randn(3, 5)
    assert torch.equal(model.output(model[:-1](inputs)), model(inputs))
    assert model[1] is model.selu1


def test_shapes_of_networks() -> None:
    assert hidden_widths(64, 3, "rectangular", 1) == [64, 64, 64]
    assert hidden_widths(64, 3, "conic", 1) == [64, 16, 4]
    assert hidden_widths(8, 3, "conic", 512) == [8, 32, 128]
    conic = MLP(10, 1, width=64, depth=3, shape="conic")
    assert [layer.out_features for layer in conic if isinstance(layer, torch.nn.Linear)] == [
        64,
        16,
        4,
        1,
    ]


def test_the_output_is_linear_and_biases_are_zero() -> None:
    model = MLP(4, 3, width=16, depth=2, dropout=0.5)
    assert isinstance(model[-1], torch.nn.Linear)
    assert all(
        not parameter.any() for name, parameter in model.named_parameters() if "bias" in name
    )


def test_a_generator_gives_the_same_weights_and_leaves_torchs_alone() -> None:
    state = torch.get_rng_state()
    one, two = (
        MLP(4, 1, width=8, depth=2, generator=torch.Generator().manual_seed(3)) for _ in range(2)
    )
    assert torch.equal(one.linear1.weight, two.linear1.weight)
    assert torch.equal(torch.get_rng_state(), state)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@pytest.fixture
def default_dtype():
    """Sets torch's default dtype, and sets it back."""
    before = torch.get_default_dtype()
    yield torch.set_default_dtype
    torch.set_default_dtype(before)


def test_the_default_dtype_is_honored(default_dtype) -> None:
    single = MLP(4, 2, width=8, depth=2, generator=seeded())
    default_dtype(torch.float64)
    double = MLP(4, 2, width=8, depth=2, generator=seeded())
    assert {parameter.dtype for parameter in double.parameters()} == {torch.float64}
    assert torch.equal(double.output.weight.float(), single.output.weight)
    assert MLP(4, 2, dtype=torch.float32).output.bias.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_a_dtype_of_its_own(dtype: torch.dtype) -> None:
    model = MLP(4, 2, width=8, depth=2, generator=seeded(), dtype=dtype)
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    double = MLP(4, 2, width=8, depth=2, generator=seeded(), dtype=torch.float64)
    assert torch.equal(model.linear1.weight, double.linear1.weight.to(dtype))
    assert model(torch.ones(3, 4, dtype=dtype)).dtype == dtype


@pytest.mark.parametrize("dtype", [torch.int8, torch.complex64, torch.float8_e4m3fn])
def test_a_dtype_of_no_weights_is_refused(dtype: torch.dtype) -> None:
    with pytest.raises(UnsupportedError, match=rf"an MLP has dtype {dtype}\."):
        MLP(4, 2, dtype=dtype)


@pytest.fixture(params=["argument", "context", "default"])
def meta_model(request: pytest.FixtureRequest) -> MLP:
    """A model on the meta device, told by each of the ways that torch has."""
    if request.param == "argument":
        return MLP(4, 2, width=8, depth=2, device="meta")
    if request.param == "context":
        with torch.device("meta"):
            return MLP(4, 2, width=8, depth=2)
    torch.set_default_device("meta")
    try:
        return MLP(4, 2, width=8, depth=2)
    finally:
        torch.set_default_device(None)


def test_a_model_of_the_meta_device_is_filled_later(meta_model: MLP) -> None:
    state = torch.get_rng_state()
    assert all(parameter.is_meta for parameter in meta_model.parameters())
    filled = initialize_(meta_model.to_empty(device="cpu"), generator=seeded())
    whole = MLP(4, 2, width=8, depth=2, generator=seeded())
    for one, other in zip(filled.parameters(), whole.parameters(), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(filled(torch.ones(3, 4)), whole(torch.ones(3, 4)))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_model_of_fake_tensors_is_made_without_numbers() -> None:
    """So tools measure what a model will take."""
    with FakeTensorMode():
        model = MLP(4, 2, width=8, depth=2)
        assert model(torch.ones(3, 4)).shape == (3, 2)


def test_an_argument_comes_before_the_default() -> None:
    with torch.device("meta"):
        model = MLP(4, 2, width=8, depth=2, device="cpu", generator=seeded())
    assert torch.equal(
        model.output.weight, MLP(4, 2, width=8, depth=2, generator=seeded()).output.weight
    )


def test_on_a_device(device: torch.device) -> None:
    model = MLP(4, 2, width=8, depth=2, device=device)
    assert {parameter.device.type for parameter in model.parameters()} == {device.type}
    with torch.device(device):
        model = MLP(4, 2, width=8, depth=2)
        assert model(torch.ones(3, 4)).device.type == device.type


def test_gradients_reach_the_inputs_and_the_first_layer() -> None:
    torch.manual_seed(0)
    model = MLP(4, 1, width=32, depth=50)
    inputs = torch.randn(16, 4, requires_grad=True)
    model(inputs).sum().backward()
    assert inputs.grad is not None
    assert 0.1 < inputs.grad.std() < 1e3
    assert model.linear1.weight.grad.abs().max() > 0


@pytest.mark.parametrize("name", ["in_features", "out_features", "width", "depth"])
def test_sizes_must_be_positive(name: str) -> None:
    sizes = {"in_features": 1, "out_features": 1, "width": 1, "depth": 1, name: 0}
    with pytest.raises(ArgumentError, match=f"{name} must be a whole number, 1 or more; 0 came"):
        MLP(**sizes)
    with pytest.raises(ArgumentError, match=f"{name} must be a whole number, 1 or more; 2.5 came"):
        MLP(**sizes | {name: 2.5})


def test_shape_and_dropout_are_checked() -> None:
    with pytest.raises(ArgumentError, match=r"one of 'rectangular', 'conic'; 'round' came"):
        MLP(1, 1, shape="round")
    with pytest.raises(ArgumentError, match=r"in \[0, 1\]; got p=2"):
        MLP(1, 1, dropout=2)
