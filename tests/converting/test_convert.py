"""The conversion, piece by piece."""

import copy
import importlib
import io
import pickle
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import selfnorm
from selfnorm.converting import convert_
from selfnorm.errors import ArgumentError, UnsupportedError
from support.tolerances import FOLDED


def trained(norm: nn.Module, inputs: Tensor, *before: nn.Module) -> nn.Sequential:
    """A model whose batch normalization has seen data and has weights of its own."""
    torch.manual_seed(0)
    model = nn.Sequential(*before, norm)
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.uniform_(0.5, 1.5)
        for _ in range(5):
            model(inputs * 2 + 1)
    return model.eval()


FOLDS: dict[str, Callable[[], tuple[nn.Sequential, Tensor]]] = {
    "linear": lambda: _trained_on((64, 8), nn.BatchNorm1d(16), nn.Linear(8, 16)),
    "without bias": lambda: _trained_on((64, 8), nn.BatchNorm1d(16), nn.Linear(8, 16, bias=False)),
    "conv1d": lambda: _trained_on((64, 8, 9), nn.BatchNorm1d(16), nn.Conv1d(8, 16, 3)),
    "conv2d": lambda: _trained_on(
        (64, 8, 9, 9), nn.BatchNorm2d(16), nn.Conv2d(8, 16, 3, padding=1, groups=4)
    ),
    "conv3d": lambda: _trained_on((16, 4, 5, 5, 5), nn.BatchNorm3d(8), nn.Conv3d(4, 8, 3)),
    "transposed": lambda: _trained_on(
        (64, 8, 5, 5), nn.BatchNorm2d(16), nn.ConvTranspose2d(8, 16, 4, 2, 1, bias=False)
    ),
    "plain norm": lambda: _trained_on((64, 8), nn.BatchNorm1d(16, affine=False), nn.Linear(8, 16)),
}


def _trained_on(
    shape: tuple[int, ...], norm: nn.Module, layer: nn.Module
) -> tuple[nn.Sequential, Tensor]:
    torch.manual_seed(1)
    x = torch.randn(shape)
    return trained(norm, x, layer), x


@pytest.mark.parametrize("name", FOLDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_folding_changes_no_output(name: str, dtype: torch.dtype) -> None:
    model, x = FOLDS[name]()
    model, x = model.to(dtype), x.to(dtype)
    new, changes = selfnorm.convert(model, init=None)
    assert changes.counts() == {"folded": 1}
    assert isinstance(new, nn.Sequential)
    assert isinstance(new[1], nn.Identity)
    expected = model(x)
    assert (new(x) - expected).abs().max() <= FOLDED[dtype] * expected.abs().max()
    assert new[0].weight.dtype == dtype
    assert not new.training


def test_weights_stay_the_same_parameters() -> None:
    model, _x = FOLDS["linear"]()
    weight = model[0].weight
    new, _ = convert_(model, init=None)
    assert new is model
    assert model[0].weight is weight


def test_an_example_teaches_nothing() -> None:
    """It is run in evaluation, or the norm's statistics would move before they are folded."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    plain, _ = selfnorm.convert(model, init=None)
    shown, _ = selfnorm.convert(model, init=None, example=torch.randn(64, 8) + 3)
    for name, value in plain.state_dict().items():
        assert torch.equal(value, shown.state_dict()[name])


def test_what_cannot_be_folded_is_removed() -> None:
    model = nn.Sequential(
        nn.BatchNorm1d(8), nn.Linear(8, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 8),
        nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 2),
    )  # fmt: skip
    new, changes = selfnorm.convert(model)
    assert changes.counts()["removed"] == 3
    assert not [m for m in new.modules() if isinstance(m, nn.BatchNorm1d | nn.LayerNorm)]
    new, changes = selfnorm.convert(model, norms="keep")
    assert len([m for m in new.modules() if isinstance(m, nn.BatchNorm1d | nn.LayerNorm)]) == 3
    new, changes = selfnorm.convert(FOLDS["linear"]()[0], norms="remove", init=None)
    assert changes.counts() == {"removed": 1}


def test_a_branch_between_forbids_folding() -> None:
    """The convolution's output is read twice: the norm is not a part of it."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.norm, self.two = nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            h = self.one(x)
            return self.two(torch.cat([h, self.norm(h)], 1))

    _, changes = selfnorm.convert(Net(), init=None)
    assert changes.counts() == {"removed": 1}


def test_trained_weights_are_kept() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    new, changes = selfnorm.convert(model, init=None)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), new.parameters(), strict=True))
    assert "initialized" not in changes.counts()
    new, _ = selfnorm.convert(model, init="lecun_uniform")
    assert new[0].weight.abs().max() <= (3 / 8) ** 0.5  # pyright: ignore
    assert not new[0].bias.any()  # pyright: ignore


def test_sharing_device_dtype_and_mode_stay() -> None:
    act = nn.ReLU()
    layer = nn.Linear(8, 8)
    model = nn.Sequential(layer, act, layer, act, nn.Linear(8, 2)).double()
    model.eval()
    model[1].train()
    new, _ = selfnorm.convert(model)
    assert isinstance(new, nn.Sequential)
    assert new[0] is new[2]
    assert new[1] is new[3]
    assert new[1].training
    assert not new[0].training
    assert {p.dtype for p in new.parameters()} == {torch.float64}
    meta, _ = selfnorm.convert(
        nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)).to("meta")
    )
    assert {p.device.type for p in meta.parameters()} == {"meta"}


def test_include_and_exclude() -> None:
    def make() -> nn.Sequential:
        part = [nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.GELU()]
        return nn.Sequential(
            nn.Sequential(*part), nn.Sequential(*copy.deepcopy(part)), nn.Linear(8, 2)
        )

    def selus(**choice: object) -> list[str]:
        new, _ = selfnorm.convert(make(), init=None, **choice)  # pyright: ignore
        return [name for name, m in new.named_modules() if isinstance(m, nn.SELU)]

    assert selus() == ["0.1", "0.3", "1.1", "1.3"]
    assert selus(include="0") == ["0.1", "0.3"]
    assert selus(include="*.1") == ["0.1", "1.1"]
    assert selus(include=["0.1", "1"]) == ["0.1", "1.1", "1.3"]
    assert selus(exclude=nn.GELU) == ["0.1", "1.1"]
    assert selus(include="0", exclude="0.3") == ["0.1"]
    assert selus(exclude=lambda name, _: name.endswith("1")) == ["0.3"]
    assert selus(activations=(nn.GELU,)) == ["0.3", "1.3"]
    with pytest.raises(ArgumentError, match=r"'2\.9' fits none"):
        selus(include="2.9")


def test_what_is_excluded_keeps_its_weights() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    new, _ = selfnorm.convert(model, exclude=("2", "3"))
    assert torch.equal(new[2].weight, model[2].weight)  # pyright: ignore
    assert not torch.equal(new[0].weight, model[0].weight)  # pyright: ignore


def test_dropout_as_asked() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Dropout2d(0.1), nn.Conv2d(8, 2, 3))
    kinds = {
        choice: [type(m).__name__ for m in selfnorm.convert(model, dropout=choice)[0]]  # pyright: ignore
        for choice in ("alpha", "keep", "remove")
    }
    assert kinds["alpha"] == ["Conv2d", "SELU", "FeatureAlphaDropout", "Conv2d"]
    assert kinds["keep"] == ["Conv2d", "SELU", "Dropout2d", "Conv2d"]
    assert kinds["remove"] == ["Conv2d", "SELU", "Identity", "Conv2d"]


class Tricky(nn.Module):
    """Additions that are no residuals, gates, and a scaled residual."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 2)
        self.position = nn.Parameter(torch.zeros(8))

    def forward(self, x: Tensor) -> Tensor:
        rows = x.shape[0] + x.size(1)
        x = x + self.position + 1.0
        x = 0.5 * (x + self.one(x))
        x = functional.tanh(self.one(x)) * torch.sigmoid(self.two(x))
        return self.head(functional.relu(x.view(-1, rows - x.shape[0])))


def test_what_is_no_residual_stays() -> None:
    torch.manual_seed(0)
    model, x = Tricky(), torch.randn(4, 8)
    new, changes = selfnorm.convert(model, init=None)
    assert "scaled" not in changes.counts()
    assert sorted(change.before for change in changes.left) == ["sigmoid()", "tanh()"]
    assert [c.before for c in changes if c.kind == "replaced"] == ["relu()"]
    assert new(x).shape == model(x).shape


class Branching(nn.Module):
    """Looks at values."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.act, self.two = nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(x)
        return self.two(functional.relu(x) if x.sum() > 0 else self.act(x))


class Moody(Branching):
    """Does other things in training."""

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.one(x))
        return self.two(x + 1 if self.training else x)


@pytest.mark.parametrize(
    ("model", "says"),
    [(Branching, "cannot trace it, TraceError"), (Moody, "other things in training")],
)
def test_what_cannot_be_traced_is_named(model: type[nn.Module], says: str) -> None:
    new, changes = selfnorm.convert(model())
    assert type(new) is model
    (left,) = [change for change in changes.left if "forward of" in change.before]
    assert says in left.why
    assert isinstance(new.act, nn.SELU)  # modules are converted all the same


class Kept(Tricky):
    """With what a `forward` does not show: a method, an attribute, a hook."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = 42
        self.heard: list[int] = []
        self.register_forward_hook(hear)

    def twice(self, x: Tensor) -> Tensor:
        return 2 * self(x)


def hear(module: nn.Module, _args: object, _output: Tensor) -> None:
    module.heard.append(4)


def pickled(module: nn.Module) -> nn.Module:
    return pickle.loads(pickle.dumps(module))  # noqa: S301 - our own


@pytest.mark.parametrize("way", [lambda module: module, copy.deepcopy, pickled])
def test_a_rewritten_module_is_what_it_was_but_for_its_forward(way: Callable) -> None:
    model, x = Kept(), torch.randn(4, 8)
    new, changes = selfnorm.convert(model)
    assert any("as selu" in change.after for change in changes)
    assert "selu" in new.code
    again = way(new.eval())
    assert isinstance(again, Kept)
    assert type(again) is not Kept
    assert (type(again).__name__, type(again).__module__, again.answer) == ("Kept", __name__, 42)
    assert torch.equal(again.twice(x), 2 * new(x))
    torch.testing.assert_close(torch.jit.trace(again, x)(x), new(x))  # SELU is torch's there
    assert again.heard[0] == 4
    assert type(model) is Kept
    assert list(again.state_dict()) == list(new.state_dict())


def test_in_place_tells_of_optimizers_and_new_objects() -> None:
    model = nn.Sequential(
        nn.Linear(8, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1)
    )
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    new, changes = convert_(model)
    assert new is model
    (note,) = [change for change in changes if change.kind == "note"]
    assert "2 parameters are gone and 1 are new: build the optimizer again" in note.why
    assert optimizer.param_groups
    tricky = Tricky()
    assert convert_(tricky)[0] is tricky
    new, changes = convert_(nn.SELU(inplace=True))  # the model itself is exchanged
    assert any("go on with the model that is returned" in change.why for change in changes)


def test_forms_of_selu_stay() -> None:
    """As they are; and fused with the dropout behind them."""
    model = nn.Sequential(
        nn.Linear(8, 8), selfnorm.nn.SELU(True, depth=100), nn.Linear(8, 8),
        selfnorm.nn.SELU(bidirectional=True), nn.AlphaDropout(0.01), nn.Linear(8, 2),
    )  # fmt: skip
    new, _ = selfnorm.convert(model)
    assert repr(new[1]) == repr(model[1])
    assert new[1].form == model[1].form
    assert repr(new[3]) == "SELUAlphaDropout(p=0.01, inplace=False, bidirectional=True)"
    assert new[3].form == model[3].form
    before = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.01), model[1], nn.Linear(8, 2))
    new, _ = selfnorm.convert(before)  # dropout goes behind it
    assert isinstance(new[2], selfnorm.nn.SELUAlphaDropout)
    assert new[2].form == model[1].form is not None


def test_fused_only_where_nothing_else_reads() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.act, self.drop = nn.Linear(8, 8), nn.ReLU(), nn.Dropout(0.1)
            self.two = nn.Linear(16, 2)

        def forward(self, x: Tensor) -> Tensor:
            h = self.act(self.one(x))
            return self.two(torch.cat([self.drop(h), h], -1))

    new, changes = selfnorm.convert(Net())
    assert "fused" not in changes.counts()
    assert isinstance(new.drop, selfnorm.nn.AlphaDropout)


def test_an_example_gives_the_order() -> None:
    model, x = Late(), torch.randn(4, 8)
    modes = [m.training for m in model.modules()]
    rng = torch.get_rng_state()
    new, _ = selfnorm.convert(model, example=x, init=None)
    assert isinstance(new.act, nn.SELU)
    assert [m.training for m in new.modules()] == modes
    assert torch.equal(torch.get_rng_state(), rng)


def test_a_residual_addition_is_scaled_to_keep_the_variance() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            return self.two(x + self.one(x))

    block, x = Block(), torch.randn(4, 8)
    new, _ = selfnorm.convert(block, init=None)
    assert torch.equal(new(x), block.two((x + block.one(x)) * 0.5**0.5))


class Late(nn.Module):
    """The activation is defined last and runs in the middle: only an example shows it."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(8, 8), nn.Linear(8, 2)
        self.act = nn.ReLU()

    def forward(self, x: Tensor, scale: Tensor | float = 1.0) -> Tensor:
        return self.two(self.act(self.one(x * scale)))


@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize("own", [True, False])
def test_a_loader_gives_its_first_batch_without_the_target(parts: int, own: bool) -> None:
    """`(x,)`, `(x, y)` and `(x, scale, y)`, as for `audit`; what it draws from stays as it was."""
    tensors = (torch.randn(32, 8), torch.rand(32, 1), torch.randint(2, (32,)))
    given = {1: tensors[:1], 2: tensors[::2], 3: tensors}[parts]
    model, generator = Late(), torch.Generator().manual_seed(1) if own else None
    loader = DataLoader(TensorDataset(*given), 16, shuffle=True, generator=generator)
    states = [g.get_state() for g in (torch.default_generator, generator) if g is not None]
    new, _ = selfnorm.convert(model, example=loader, init=None)
    assert isinstance(new.act, nn.SELU)
    after = [g.get_state() for g in (torch.default_generator, generator) if g is not None]
    assert all(torch.equal(one, other) for one, other in zip(states, after, strict=True))


def test_a_loader_of_mappings_gives_arguments_by_name() -> None:
    rows = [{"x": torch.randn(8), "scale": torch.ones(1)} for _ in range(4)]
    new, _ = selfnorm.convert(Late(), example=DataLoader(rows, 2), init=None)
    assert isinstance(new.act, nn.SELU)


def test_an_empty_loader_is_told() -> None:
    empty = DataLoader(TensorDataset(torch.randn(3, 8)), 4, drop_last=True)
    with pytest.raises(ArgumentError, match="at least one batch; the loader gave none"):
        selfnorm.convert(Late(), example=empty)


def test_what_initialization_leaves_is_a_change_and_no_warning() -> None:
    class Scaled(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
            self.scale = nn.Parameter(torch.ones(8))

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x * self.scale)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _, changes = selfnorm.convert(Scaled())
    assert not caught
    (left,) = (change for change in changes if change.before == "parameters")
    assert left.kind == "left"
    assert "left other parameters as they were: 'scale' (" in left.why


def test_a_right_model_needs_no_change() -> None:
    _new, changes = selfnorm.convert(selfnorm.nn.MLP(8, 2, depth=3), init=None)
    assert len(changes) == 0
    assert str(changes) == "Conversion: nothing to change"
    assert changes.to_dict() == {"changes": [], "removed": [], "added": []}


def test_converted_models_are_saved_and_loaded() -> None:
    new, _ = selfnorm.convert(Tricky())
    file = io.BytesIO()
    torch.save(new.state_dict(), file)
    file.seek(0)
    again, _ = selfnorm.convert(Tricky())
    again.load_state_dict(torch.load(file, weights_only=True))
    x = torch.randn(4, 8)
    assert torch.equal(again(x), new(x))


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"init": "he"}, ArgumentError, "init is one of 'lecun_normal'"),
        ({"dropout": "plain"}, ArgumentError, "dropout is one of"),
        ({"norms": "batch"}, ArgumentError, "norms is one of"),
        ({"example": torch.randn(2, 3)}, RuntimeError, "shapes cannot be multiplied"),
    ],
)
def test_wrong_arguments(arguments: dict[str, object], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        selfnorm.convert(nn.Sequential(nn.Linear(8, 2)), **arguments)  # pyright: ignore


def test_wrong_models() -> None:
    with pytest.raises(UnsupportedError, match="got str"):
        selfnorm.convert("model")  # pyright: ignore
    with pytest.raises(ArgumentError, match="lazy modules"):
        selfnorm.convert(nn.LazyLinear(3))


def test_a_root_that_is_an_activation() -> None:
    new, changes = selfnorm.convert(nn.ReLU())
    assert isinstance(new, nn.ReLU)  # no weights follow: it is an output
    assert len(changes.left) == 1


class Plain(nn.Module):
    """Additions, functions and norms, so many of each."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(depth))
        self.norms = nn.ModuleList(nn.BatchNorm1d(4) for _ in range(depth))
        self.acts = nn.ModuleList(nn.ReLU() for _ in range(depth))
        self.head = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        for layer, norm, act in zip(self.layers, self.norms, self.acts, strict=True):
            x = x + torch.tanh(act(norm(layer(x))))
        return self.head(x)


def test_the_work_grows_with_the_depth_and_not_its_square(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def counted(function: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            nonlocal calls
            calls += 1
            return function(*args, **kwargs)

        return call

    functional_ = importlib.import_module("selfnorm.converting._functional")
    monkeypatch.setattr(nn.Module, "named_modules", counted(nn.Module.named_modules))
    monkeypatch.setattr(functional_, "function_name", counted(functional_.function_name))
    found: list[int] = []
    for depth in (20, 40):
        calls = 0
        _, changes = selfnorm.convert(Plain(depth))
        assert changes.counts()["scaled"] == depth
        assert changes.counts()["replaced"] == 2 * depth
        found.append(calls)
    assert found[1] < 2.1 * found[0], found
