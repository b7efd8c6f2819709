"""Models as plain torch, with SELU or with ELU alone: the same outputs, and nothing of selfnorm."""

import copy
import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional

import selfnorm
from selfnorm.converting._rewritten import is_rewritten
from selfnorm.errors import UnsupportedError
from selfnorm.nn import MLP, SELU, AlphaDropout, FeatureAlphaDropout, SELUAlphaDropout
from support.compare import assert_close, assert_same
from support.deployable import MODELS, Residual, build
from support.fresh import run_fresh
from support.statistics import assert_moments, kurtosis_of
from support.tolerances import DEPLOYED

SCALE = 1.0507009873554805

each_model = pytest.mark.parametrize("name", MODELS)


def test_what_convert_rewrote_becomes_a_graph() -> None:
    model = build("graph")[0]
    assert is_rewritten(model)
    assert isinstance(selfnorm.deploy(model), fx.GraphModule)


class WithContext(nn.Module):
    """As a block of a flow: it does something else where it is given a context."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        y = self.two(functional.relu(self.one(x)))
        return x + (y if context is None else y * context.sigmoid())


class Flowing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks, self.last = nn.ModuleList(WithContext() for _ in range(2)), nn.Linear(8, 1)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        for block in self.blocks:
            x = block(x, context=context)
        return self.last(x)


def test_arguments_that_are_none_do_not_keep_a_model_from_leaving() -> None:
    x = torch.randn(4, 8)
    new, changes = selfnorm.convert(Flowing(), example=x)
    assert changes.counts()["replaced"] == 2
    plain = selfnorm.deploy(new)
    given = inspect.signature(plain.blocks[0].forward).parameters
    assert list(given) == ["x", "context"]
    assert_close(torch.jit.trace(plain, (x,))(x), new(x), DEPLOYED[torch.float32])  # pyright: ignore
    assert "_assert" not in str(torch.export.export(plain, (x,)).graph)
    again, changes = selfnorm.convert(new, example=x)  # what was rewritten can be read again
    assert not changes.left
    with pytest.raises(AssertionError, match="context has been specialized"):
        again.blocks[0](x, x)


class Placed(nn.Module):
    """Reads a tensor that is no parameter and no buffer, and leaves another on itself."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8, 8), nn.Linear(8, 1)
        self.place = torch.arange(8.0)

    def forward(self, x: Tensor) -> Tensor:
        self.seen = functional.relu(self.first(x + self.place))
        return self.last(self.seen)


class Within(nn.Module):
    """A `forward` that is rewritten, and reads such a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8, 8), nn.Linear(8, 1)
        self.place = torch.arange(8.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(functional.relu(self.first(x + self.place)))


@pytest.mark.parametrize("model", [Placed(), Within()])
def test_tensors_that_are_not_registered_go_along(model: nn.Module) -> None:
    x = torch.randn(4, 8)
    new, _ = selfnorm.convert(model, example=x)
    expected = new.eval()(x)  # with a history, left on the model
    plain = selfnorm.deploy(new)
    assert_close(plain(x), expected, DEPLOYED[torch.float32])
    if isinstance(model, Within):  # torch warns of what a forward leaves
        program = torch.export.export(plain, (x,)).module()
        assert_close(program(x), expected, DEPLOYED[torch.float32])


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
    assert [repr(m) for m in model.modules()] == [repr(m) for m in before.modules()]
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


@pytest.mark.parametrize("form", [{"depth": 100}, {"bidirectional": True}], ids=str)
@pytest.mark.parametrize("inplace", [False, True])
def test_dropout_of_a_form_keeps_its_moments(inplace: bool, form: dict[str, Any]) -> None:
    module = SELUAlphaDropout(0.3, inplace, **form)
    plain = selfnorm.deploy(module).train()
    torch.manual_seed(0)
    z = plain(torch.randn(1 << 18)).numpy()
    assert_moments(z, module.form.shift, module.form.variance, kurtosis_of(z))


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

    with pytest.raises(UnsupportedError, match=r"0, a Own, has its own"):
        selfnorm.deploy(nn.Sequential(Own()), elu=True)


def test_a_selu_with_a_forward_put_on_it_is_named() -> None:
    act = SELUAlphaDropout(0.1)
    vars(act)["forward"] = functools.partial(SELUAlphaDropout.forward, act)
    model = nn.Sequential(nn.Linear(3, 3), act).eval()
    x = torch.randn(5, 3)
    assert_same(selfnorm.deploy(model)(x), model(x))
    with pytest.raises(UnsupportedError, match=r"1, a SELUAlphaDropout, has its own"):
        selfnorm.deploy(model, elu=True)


@pytest.mark.parametrize(
    "function", [functional.selu, torch.selu, selfnorm.selu, selfnorm.selu_alpha_dropout]
)
def test_selu_given_to_a_module_of_torch(function: Callable[[Tensor], Tensor]) -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, activation=function, batch_first=True).eval()
    model = nn.Sequential(layer)
    plain: Any = selfnorm.deploy(model)
    x = torch.randn(2, 3, 8)
    assert (plain(x) - model(x)).abs().max() <= DEPLOYED[torch.float32] * model(x).abs().max()
    assert plain[0].activation in {functional.selu, torch.selu}
    with pytest.raises(UnsupportedError, match=r"of 0, a TransformerEncoderLayer, calls selu"):
        selfnorm.deploy(model, elu=True)


def test_a_forward_that_is_looked_at_leaves_nothing_behind() -> None:
    model = build("tied decoder")[0]
    before = [set(vars(module)) for module in model.modules()]
    selfnorm.deploy(model, elu=True)
    assert [set(vars(module)) for module in model.modules()] == before


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
    run_fresh(LOAD, *folders, warnings="ignore")
    for folder, expected in folders.items():
        assert_same(torch.load(folder / "y.pt"), expected)
