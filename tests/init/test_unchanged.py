"""If `initialize_` raises, nothing has changed: whatever a parameter is, wherever it stands."""

import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from selfnorm.errors import SelfNormError, UnsupportedError
from selfnorm.init import initialize_, lecun_normal_, lecun_uniform_

SIZE = 4


def bits(model: nn.Module) -> dict[str, Tensor]:
    """Copies of all that can be copied and compared."""
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    kept = {n: t for n, t in state.items() if type(t) in (Tensor, nn.Parameter)}
    return {n: t.detach().to_dense().clone() for n, t in kept.items() if not t.is_nested}


def assert_as_before(model: nn.Module, before: dict[str, Tensor]) -> None:
    after = bits(model)
    assert list(after) == list(before)
    for name, value in before.items():
        assert torch.equal(after[name], value), name


def holding(weight: Tensor) -> nn.Linear:
    layer = nn.Linear(SIZE, SIZE)
    layer.weight = nn.Parameter(weight, requires_grad=False)
    return layer


def made_in_inference_mode(*, parametrize_it: bool = False) -> nn.Module:
    with torch.inference_mode():
        layer = nn.Linear(SIZE, SIZE)
        return parametrized(layer) if parametrize_it else layer


class Inverse(nn.Module):
    """A parametrization that is the identity, until its inverse raises."""

    error: Exception | None = None

    def forward(self, weight: Tensor) -> Tensor:
        return weight

    def right_inverse(self, weight: Tensor) -> Tensor:
        if self.error is not None:
            raise self.error
        return weight


def raising(error: Exception) -> nn.Module:
    layer, inverse = nn.Linear(SIZE, SIZE), Inverse()
    parametrize.register_parametrization(layer, "weight", inverse)
    inverse.error = error
    return layer


def uncopyable() -> nn.Module:
    layer, inverse = nn.Linear(SIZE, SIZE), Inverse()
    parametrize.register_parametrization(layer, "weight", inverse)
    inverse.cached = layer.weight * 2  # no leaf
    return layer


class OwnNumbers(Tensor):
    """A class that computes for itself, as quantized weights do, and refuses all but being seen."""

    @staticmethod
    def __new__(cls, shape: tuple[int, ...]) -> "OwnNumbers":
        return Tensor._make_wrapper_subclass(cls, shape)

    @classmethod
    def __torch_dispatch__(cls, function, types, arguments=(), named=None):
        if function is torch.ops.aten.detach.default:
            return cls(arguments[0].shape)
        raise NotImplementedError(f"no {function}\nand more")


def with_bias(bias: Tensor) -> nn.Module:
    layer = nn.Linear(SIZE, SIZE)
    layer.bias = nn.Parameter(bias, requires_grad=bias.dtype == torch.float32)
    return layer


SQUARE = (SIZE, SIZE)
WEIGHTS: dict[str, tuple[Callable[[], Tensor], str]] = {
    "expanded": (
        lambda: torch.zeros(1, SIZE).expand(SQUARE),
        r"each element of a weight has memory of its own; .*strides \(0, 1\)",
    ),
    "windows": (
        lambda: torch.zeros(20).as_strided(SQUARE, (1, 1)),
        r"memory of its own; .*, of shape \(4, 4\) and strides \(1, 1\)",
    ),
    "inference": (
        lambda: made_in_inference_mode().weight,
        r"Make the model outside, or call",
    ),
    "sparse": (
        lambda: torch.eye(SIZE).to_sparse(),
        r"weights are dense numbers; .* is torch.sparse_coo\. Initialize it before",
    ),
    "quantized": (
        lambda: torch.quantize_per_tensor(torch.zeros(SQUARE), 0.1, 0, torch.qint8),
        r"weights are dense numbers; .* is quantized\. ",
    ),
    "eight bits": (
        lambda: torch.zeros(SQUARE).to(torch.float8_e4m3fn),
        r"has dtype torch.float8_e4m3fn\. Initialize the floating-point model before",
    ),
    "int8": (
        lambda: torch.zeros(SQUARE, dtype=torch.int8),
        r"has dtype torch.int8\. Initialize the floating-point model before",
    ),
    "own class": (
        lambda: OwnNumbers(SQUARE),
        r"is of class OwnNumbers, which does not take them \(NotImplementedError: no aten[^\n]*$",
    ),
}
POISON: dict[str, tuple[Callable[[], nn.Module], type[Exception], str]] = {
    **{
        kind: (lambda make=make: holding(make()), UnsupportedError, words)
        for kind, (make, words) in WEIGHTS.items()
    },
    "expanded bias": (
        lambda: with_bias(torch.zeros(1).expand(SIZE)),
        UnsupportedError,
        r"bias' \(Linear\), of shape \(4,\) and strides \(0,\), has elements that share theirs",
    ),
    "flat shard": (
        lambda: holding(torch.zeros(7)),
        UnsupportedError,
        r"has shape \(7,\), as where FullyShardedDataParallel or ZeRO keep a part of it",
    ),
    "empty shard": (
        lambda: holding(torch.zeros(0)),
        UnsupportedError,
        r"has shape \(0,\), as where FullyShardedDataParallel",
    ),
    "no copy": (uncopyable, UnsupportedError, r"on a copy; that of .* cannot be copied \(Runtime"),
    "inverse raises": (
        lambda: raising(KeyError("mine")),
        UnsupportedError,
        r"on a copy; that of '3\.weight' \(\w+\) raised KeyError: 'mine'\. Mend its right_inverse",
    ),
    "inverse of other types": (
        lambda: raising(TypeError("mine")),
        UnsupportedError,
        r"that of '3\.weight' .* raised TypeError: mine",
    ),
    "int8 bias": (
        lambda: with_bias(torch.zeros(SIZE, dtype=torch.int8)),
        UnsupportedError,
        r"'3\.bias' \(Linear\) has dtype torch.int8",
    ),
    "float8 bias": (
        lambda: with_bias(torch.zeros(SIZE).to(torch.float8_e4m3fn)),
        UnsupportedError,
        r"'3\.bias' \(Linear\) has dtype torch.float8_e4m3fn",
    ),
    "inverse of inference": (
        lambda: made_in_inference_mode(parametrize_it=True),
        UnsupportedError,
        r"was made there",
    ),
    "lazy": (lambda: nn.LazyLinear(3), SelfNormError, r"Run one batch"),
}


def parametrized(layer: nn.Module) -> nn.Module:
    parametrize.register_parametrization(layer, "weight", Inverse())
    return layer


@pytest.fixture(params=POISON)
def poison(request: pytest.FixtureRequest):
    return POISON[request.param]


quantizing = pytest.mark.filterwarnings("ignore:.*quantize")


@quantizing
def test_whatever_raises_raises_before_any_change(poison) -> None:
    make, error, words = poison
    # Before it stands a layer, a parametrized one, and one whose statistics would be reset.
    model = nn.Sequential(
        nn.Linear(SIZE, SIZE),
        parametrizations.weight_norm(nn.Linear(SIZE, SIZE)),
        nn.BatchNorm1d(SIZE),
        make(),
        nn.Linear(SIZE, SIZE),
    )
    model[2].running_mean.fill_(3)
    before = bits(model)
    with pytest.raises(error, match=words):
        initialize_(model)
    assert_as_before(model, before)
    initialize_(model, skip="3")
    assert not model[4].bias.any()
    assert not model[2].running_mean.any()


GOOD = [
    lambda: nn.Linear(SIZE, SIZE),
    lambda: parametrizations.weight_norm(nn.Linear(SIZE, SIZE)),
    lambda: parametrizations.spectral_norm(nn.Linear(SIZE, SIZE)),
    lambda: parametrizations.orthogonal(nn.Linear(SIZE, SIZE)),
    lambda: nn.LSTM(SIZE, SIZE),
    lambda: nn.ConvTranspose1d(SIZE, SIZE, 3, stride=2),
    lambda: nn.BatchNorm1d(SIZE),
    lambda: nn.Embedding(3, SIZE, padding_idx=1),
    lambda: parametrized(nn.Linear(SIZE, SIZE)),
]


@quantizing
@pytest.mark.filterwarnings("ignore:initialize_")
@pytest.mark.parametrize("seed", range(40))
def test_a_model_of_anything_is_initialized_or_as_it_was(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    torch.manual_seed(seed)
    layers = [chance.choice(GOOD)() for _ in range(chance.randint(2, 6))]
    whole = [layer for layer in layers if isinstance(layer, nn.Linear)]
    poisons = [make for kind, (make, _, _) in POISON.items() if kind != "lazy"]
    if seed % 4:
        layers.insert(chance.randrange(len(layers) + 1), chance.choice(poisons)())
    if len(whole) > 1 and chance.random() < 0.5 and not parametrize.is_parametrized(whole[1]):
        whole[1].bias = nn.Parameter(whole[0].bias.data)
    model = nn.Sequential(*layers)
    for parameter in model.parameters():
        if parameter.is_floating_point() and type(parameter) is nn.Parameter and seed % 4 == 0:
            parameter.data.fill_(7.0)
    before = bits(model)
    try:
        initialize_(model, distribution=chance.choice(["normal", "uniform"]))
    except SelfNormError:
        assert seed % 4
        assert_as_before(model, before)
    else:
        assert not seed % 4
        kept = {f"{i}." for i, layer in enumerate(layers) if not keeps(layer)}
        for name, value in bits(model).items():
            if not any(name.startswith(prefix + "param") for prefix in kept):
                assert not (value == 7).any(), name


def keeps(layer: nn.Module) -> bool:
    """Whether a layer's parametrization lets it be initialized."""
    if not parametrize.is_parametrized(layer):
        return True
    names = {type(part).__name__ for part in layer.parametrizations.weight}
    return not names & {"_SpectralNorm", "_Orthogonal"}


def test_a_write_that_fails_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where Ctrl-C comes in between."""
    model = nn.Sequential(*(nn.Linear(SIZE, SIZE) for _ in range(3)), nn.BatchNorm1d(SIZE))
    model[3].running_mean.fill_(3)
    before = bits(model)
    copy, last = Tensor.copy_, model[2].weight

    def interrupted(self: Tensor, values: Tensor) -> Tensor:
        if self is last and not (values == before["2.weight"]).all():
            copy(self, torch.full_like(self, 9.0))
            raise KeyboardInterrupt
        return copy(self, values)

    monkeypatch.setattr(Tensor, "copy_", interrupted)
    with pytest.raises(KeyboardInterrupt):
        initialize_(model)
    assert_as_before(model, before)


class Remembering(nn.Module):
    """The inverse changes what is no tensor; only the layer itself, not its copy, shows it."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = 1.0

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.scale

    def right_inverse(self, weight: Tensor) -> Tensor:
        self.scale = float(weight.norm()) or 1.0
        return weight / self.scale


def test_a_weight_that_another_number_scales_is_named_and_put_back() -> None:
    layer = nn.Linear(SIZE, SIZE)
    parametrize.register_parametrization(layer, "weight", Remembering())
    before = bits(layer)["parametrizations.weight.original"]
    with pytest.warns(UserWarning, match=r"do not keep what they are given.*'weight'"):
        initialize_(layer)
    assert torch.equal(layer.parametrizations.weight.original, before)
    assert not layer.bias.any()


def test_training_mode_is_put_back_where_a_parametrization_raises() -> None:
    class Raising(Inverse):
        def forward(self, weight: Tensor) -> Tensor:
            if not self.training:
                raise RuntimeError("mine")
            return weight

    layer = nn.Linear(SIZE, SIZE)
    parametrize.register_parametrization(layer, "weight", Raising())
    before = bits(layer)
    with pytest.raises(RuntimeError, match="mine"):
        initialize_(layer)
    assert all(part.training for part in layer.modules())
    assert_as_before(layer, before)


@quantizing
@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("fill", [lecun_normal_, lecun_uniform_])
def test_a_weight_of_ones_own_is_asked_the_same(kind: str, fill) -> None:
    make, words = WEIGHTS[kind]
    with pytest.raises(UnsupportedError, match=words.replace(r"\(Linear\)", "")):
        fill(make())


def test_in_inference_mode_its_own_weights_are_written() -> None:
    with torch.inference_mode():
        model = initialize_(made_in_inference_mode())
        assert not model.bias.any()
