"""Models as plain torch, with SELU or with ELU alone: the same outputs, and nothing of selfnorm."""

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

import selfnorm
from selfnorm.errors import UnsupportedError
from selfnorm.nn import MLP, SELU, AlphaDropout, FeatureAlphaDropout, SELUAlphaDropout
from support.compare import assert_same
from support.tolerances import DEPLOYED

SCALE = 1.0507009873554805


class Residual(nn.Module):
    """The SELU's output is read twice, and so is that of the block."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.act, self.two = nn.Linear(8, 8), SELU(), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.one(x))
        return 0.5**0.5 * (h + self.two(h))


class Traced(nn.Module):
    """One reader, behind functions that a factor passes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act, self.drop = nn.Conv2d(3, 4, 3), SELU(), AlphaDropout(0.1)
        self.fc = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        h = functional.max_pool2d(self.drop(self.act(self.conv(x))), 3)
        return self.fc(h.view(h.size(0), -1))


class Untraced(nn.Module):
    """No one can say in advance who reads the SELU."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.act, self.two = nn.Linear(8, 8), SELU(), nn.Linear(8, 8)
        self.inner = nn.Sequential(SELU(), nn.Linear(8, 8))

    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.one(x))
        return self.inner(self.two(h)) if h.sum() > 0 else self.inner[0](h)


class Peeking(nn.Module):
    """Runs the layers of a `Sequential` one by one, and gives one of them twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 8), SELU(), nn.Linear(8, 8))

    def forward(self, x: Tensor) -> Tensor:
        h = self.layers[1](self.layers[0](x))
        return torch.cat([h, self.layers[2](h)], 1)


class Overwriting(nn.Module):
    """A SELU in place, and another reader of what it wrote into."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.act, self.two = nn.Linear(8, 8), SELU(inplace=True), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        h = self.one(x)
        y = self.two(self.act(h))
        return h + y


class Tied(nn.Module):
    """The reader's weight is another layer's, too."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.act, self.two = nn.Linear(8, 8), SELU(), nn.Linear(8, 8)
        self.two.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.act(self.one(x)))


class Borrowing(nn.Module):
    """The reader's weight serves in a function, too."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.act, self.two = nn.Linear(8, 8), SELU(), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(self.two(self.act(self.one(x))), self.two.weight)


class Relu(nn.Module):
    """What `convert` makes a graph module of."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.one(x))
        x = x + functional.relu(self.two(x))
        return self.three(functional.dropout(x, 0.1, self.training))


def _cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout2d(0.1),
        nn.ConvTranspose2d(8, 8, 3, groups=2), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(2),
        nn.Flatten(), nn.Linear(32, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 2),
    )  # fmt: skip


def _hooked() -> nn.Module:
    model = nn.Sequential(nn.Linear(8, 8), SELU(), nn.Linear(8, 8))
    model[1].register_forward_hook(lambda *seen: seen[-1].tanh())
    return model


def _shared() -> nn.Module:
    act, layer = SELU(), nn.Linear(8, 8)
    return nn.Sequential(layer, act, layer, act, nn.Linear(8, 2))


IMAGES, ROWS = (4, 3, 9, 9), (4, 8)
# A model, the shape of its input, and how many SELUs go into the next layer and how many do not.
MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int, int]] = {
    "mlp": (lambda: MLP(8, 3, width=16, depth=4, dropout=0.1), ROWS, 4, 0),
    "activation": (SELU, ROWS, 0, 1),
    "activation at the end": (lambda: nn.Sequential(nn.Linear(8, 8), SELU()), ROWS, 0, 1),
    "torch's own": (
        lambda: nn.Sequential(nn.Linear(8, 8), nn.SELU(), nn.AlphaDropout(), nn.Linear(8, 8)),
        ROWS, 1, 0,
    ),
    "in place at the start": (
        lambda: nn.Sequential(SELU(inplace=True), nn.Linear(8, 8)), ROWS, 0, 1,
    ),
    "nested": (
        lambda: nn.Sequential(
            nn.Sequential(nn.Linear(8, 8), SELUAlphaDropout(0.1)), nn.Sequential(nn.Linear(8, 8))
        ),
        ROWS, 1, 0,
    ),
    "convolutions": (lambda: selfnorm.convert(_cnn())[0], IMAGES, 3, 0),
    "graph": (lambda: selfnorm.convert(Relu())[0], ROWS, 0, 2),
    "traced": (Traced, IMAGES, 1, 0),
    "residual": (lambda: nn.Sequential(Residual(), Residual()), ROWS, 0, 2),
    "untraced": (Untraced, ROWS, 0, 2),
    "peeking": (Peeking, ROWS, 0, 1),
    "overwriting": (Overwriting, ROWS, 0, 1),
    "tied": (Tied, ROWS, 0, 1),
    "borrowing": (Borrowing, ROWS, 0, 1),
    "weight norm": (
        lambda: nn.Sequential(SELU(), parametrizations.weight_norm(nn.Linear(8, 8))), ROWS, 0, 1,
    ),
    "hooked": (_hooked, ROWS, 0, 1),
    "shared": (_shared, ROWS, 0, 1),
    "several readers in a list": (
        lambda: nn.Sequential(Peeking(), nn.Linear(16, 8), SELU(), nn.Flatten(), nn.Linear(8, 2)),
        ROWS, 1, 1,
    ),
}  # fmt: skip
each_model = pytest.mark.parametrize("name", MODELS)


def build(name: str, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    model = MODELS[name][0]().to(dtype).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.uniform_(-0.5, 0.5)
    return model, torch.randn(MODELS[name][1], dtype=dtype)


def test_what_convert_traced_is_a_graph() -> None:
    """So that the tests below that name it hold one."""
    assert isinstance(build("graph")[0], fx.GraphModule)


def kinds(model: nn.Module) -> set[str]:
    return {type(module).__module__.split(".")[0] for module in model.modules()}


def count(model: nn.Module, *classes: type[nn.Module]) -> int:
    return sum(type(module) in classes for module in model.modules())


@each_model
def test_plain_is_the_same_in_torchs_modules(name: str) -> None:
    model, x = build(name)
    before = copy.deepcopy(model)
    plain = selfnorm.deploy(model)
    assert "selfnorm" not in kinds(plain)
    assert list(plain.state_dict()) == list(model.state_dict())
    for key, value in model.state_dict().items():
        assert_same(plain.state_dict()[key], value)
        assert_same(before.state_dict()[key], value)
    assert [repr(m) for m in model.modules() if not isinstance(m, fx.GraphModule)] == [
        repr(m) for m in before.modules() if not isinstance(m, fx.GraphModule)
    ]
    assert not any(module.training for module in plain.modules())
    expected = model(x.clone())
    error = (plain(x.clone()) - expected).abs().max()
    assert error <= DEPLOYED[torch.float32] * expected.abs().max()


@each_model
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_elu_suffices(dtype: torch.dtype, name: str) -> None:
    model, x = build(name, dtype)
    *_, folded, scaled = MODELS[name]
    plain = selfnorm.deploy(model, elu=True)
    assert "selfnorm" not in kinds(plain)
    assert not count(plain, nn.SELU, nn.AlphaDropout, nn.FeatureAlphaDropout)
    assert count(plain, nn.ELU) == folded + scaled
    assert sum(type(module).__name__ == "Scale" for module in plain.modules()) == scaled
    changed = [
        key for key, v in model.state_dict().items() if not torch.equal(v, plain.state_dict()[key])
    ]
    assert len(changed) == folded
    for key in changed:
        value = model.state_dict()[key].double() * SCALE
        assert_same(plain.state_dict()[key], value.to(dtype))
    expected = model(x.clone())
    error = (plain(x.clone()) - expected).abs().max()
    assert error <= DEPLOYED[dtype] * expected.abs().max()


@each_model
def test_a_deployed_model_still_trains(name: str) -> None:
    model, x = build(name)
    plain = selfnorm.deploy(model).train()
    plain(x.requires_grad_() * 1).sum().backward()
    assert x.grad is not None
    assert all(parameter.grad is not None for parameter in plain.parameters())


def test_dropout_is_torchs_and_stays() -> None:
    generator = torch.Generator()
    model = nn.Sequential(
        SELUAlphaDropout(0.3, inplace=True, generator=generator),
        SELUAlphaDropout(0.0, generator=generator),
        AlphaDropout(0.2, generator=generator),
        FeatureAlphaDropout(0.1, spatial_dims=2, generator=generator),
    )
    plain: Any = selfnorm.deploy(model)
    assert (plain[0].selu.inplace, plain[0].dropout.p, plain[0].dropout.inplace) == (
        True,
        0.3,
        True,
    )
    assert type(plain[1]) is nn.SELU
    assert (type(plain[2]), plain[2].p) == (nn.AlphaDropout, 0.2)
    assert (type(plain[3]), plain[3].p) == (nn.FeatureAlphaDropout, 0.1)
    assert not any(hasattr(module, "generator") for module in plain.modules())


def test_sharing_and_hooks_stay() -> None:
    plain: Any = selfnorm.deploy(build("shared")[0])
    assert plain[1] is plain[3]
    model = nn.Sequential(SELU())
    seen: list[nn.Module] = []
    model[0].register_forward_hook(lambda *call: seen.append(call[0]))
    plain = selfnorm.deploy(model)
    plain(torch.randn(3))
    assert seen == [plain[0]]


def test_classes_of_the_models_own_stay() -> None:
    class Own(MLP):
        pass

    model = nn.Sequential(Own(8, 2), Residual())
    plain = selfnorm.deploy(model)
    assert [type(module) for module in plain] == [Own, Residual]
    assert not count(plain, SELU, SELUAlphaDropout)


def test_a_compiled_model_is_the_one_it_stands_for() -> None:
    assert type(selfnorm.deploy(torch.compile(MLP(8, 2)))) is nn.Sequential


class Calling(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize(
    "function", [functional.selu, torch.selu, selfnorm.selu, selfnorm.selu_alpha_dropout]
)
def test_selu_as_a_function_is_named(function: Callable[[Tensor], Tensor]) -> None:
    model = nn.Sequential(nn.Linear(3, 3), Calling(function))
    selfnorm.deploy(model)
    with pytest.raises(UnsupportedError, match=r"the forward of 1, a Calling, calls selu"):
        selfnorm.deploy(model, elu=True)


def test_a_selu_of_another_class_is_named() -> None:
    class Own(nn.SELU):
        def forward(self, input: Tensor) -> Tensor:  # noqa: A002
            return super().forward(input) + 1

    with pytest.raises(UnsupportedError, match=r"0 is of a class of its own, Own"):
        selfnorm.deploy(nn.Sequential(Own()), elu=True)


def test_only_modules() -> None:
    with pytest.raises(UnsupportedError, match=r"takes a torch.nn.Module; got list"):
        selfnorm.deploy([])  # type: ignore[arg-type]


LOAD = """
import sys
import torch

sys.modules["selfnorm"] = None  # importing it fails
for folder in sys.argv[1:]:
    model = torch.load(f"{folder}/model.pt", weights_only=False)
    torch.save(model(torch.load(f"{folder}/x.pt")), f"{folder}/y.pt")
"""


def test_a_program_needs_no_selfnorm(tmp_path: Path) -> None:
    folders: dict[Path, Tensor] = {}
    for name in ("mlp", "convolutions", "graph"):
        for elu in (False, True):
            folder = tmp_path / f"{name}-{elu}"
            folder.mkdir()
            model, x = build(name)
            plain = selfnorm.deploy(model, elu=elu)
            torch.save(plain, folder / "model.pt")
            torch.save(x, folder / "x.pt")
            folders[folder] = plain(x)
    subprocess.run([sys.executable, "-c", LOAD, *map(str, folders)], check=True)
    for folder, expected in folders.items():
        assert_same(torch.load(folder / "y.pt"), expected)
