"""Weights stay orthogonal, whatever optimizes them, and nothing else of the training changes."""

import copy
import gc
import math
import warnings
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from selfnorm.errors import ArgumentError, SelfNormWarning, UnsupportedError
from selfnorm.init import initialize_
from selfnorm.optim import OrthogonalHandle, keep_orthogonal
from support.tolerances import ORTHOGONAL

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=3e-3),
    "foreach": lambda p: torch.optim.AdamW(p, lr=3e-3, weight_decay=0.0, foreach=True),
    "fused": lambda p: torch.optim.AdamW(p, lr=3e-3, weight_decay=0.0, fused=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=1e-3),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=1e-2),
}


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def plain(width: int = 24, depth: int = 3, inputs: int = 16) -> nn.Sequential:
    layers: list[nn.Module] = []
    for layer in range(depth):
        layers += [nn.Linear(width if layer else inputs, width), nn.SELU()]
    return initialize_(nn.Sequential(*layers, nn.Linear(width, 2)), generator=seeded())


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    steps: int = 5,
    after: Callable[[], object] = lambda: None,
) -> None:
    batches = torch.randn(steps, 32, 16, generator=seeded())
    for batch in batches:
        optimizer.zero_grad()
        (model(batch) - batch[:, :2].tanh()).square().mean().backward()
        optimizer.step()
        after()


def quietly(*arguments: object, **options: object) -> OrthogonalHandle:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SelfNormWarning)
        return keep_orthogonal(*arguments, **options)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_is_followed(name: str) -> None:
    model = plain()
    optimizer = OPTIMIZERS[name](model.parameters())
    kept = keep_orthogonal(optimizer, model, every=1, tolerance=0.02)
    assert max(kept.error.values()) < ORTHOGONAL
    start = copy.deepcopy(model.state_dict())
    within: list[bool] = []
    train(model, optimizer, 20, lambda: within.append(max(kept.error.values()) < 0.02))
    assert all(within)
    assert kept.names == ["0.weight", "2.weight", "4.weight"]
    assert kept.corrections == 20
    assert not any(torch.equal(value, model.state_dict()[n]) for n, value in start.items())


def test_without_it_they_are_not() -> None:
    model = plain()
    kept = keep_orthogonal(torch.optim.Adam(model.parameters()), model)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    train(model, optimizer, 20)
    assert min(kept.error.values()) > 0.05


@pytest.mark.parametrize("shape", [(24, 24), (8, 24), (24, 8), (1, 24), (24, 1), (1, 1)])
def test_wide_and_narrow_keep_their_scale(shape: tuple[int, int]) -> None:
    """All singular values are sqrt(max(out, in) / in), so the mean square of a weight is 1/in."""
    out, inputs = shape
    model = nn.Sequential(nn.Linear(inputs, out), nn.Linear(out, 2))
    keep_orthogonal(torch.optim.SGD(model.parameters()), model)
    weight = model[0].weight
    assert isinstance(weight, Tensor)
    values = torch.linalg.svdvals(weight.detach().double())
    scale = (max(out, inputs) / inputs) ** 0.5
    torch.testing.assert_close(values, torch.full_like(values, scale), rtol=ORTHOGONAL, atol=0)


LAYERS: dict[str, tuple[Callable[[], nn.Module], list[str]]] = {
    "conv": (lambda: nn.Conv2d(8, 12, 3, groups=2), ["weight"]),
    "transposed": (lambda: nn.ConvTranspose2d(8, 6, 3, stride=2), ["weight"]),
    "lstm": (
        lambda: nn.LSTM(8, 12, num_layers=2, proj_size=6),
        [f"weight_{kind}_l{n}" for n in range(2) for kind in ("ih", "hh", "hr")],
    ),
    "gru": (lambda: nn.GRU(8, 12), ["weight_ih_l0", "weight_hh_l0"]),
    "cell": (lambda: nn.RNNCell(8, 12), ["weight_ih", "weight_hh"]),
    "attention": (lambda: nn.MultiheadAttention(8, 2), ["in_proj_weight", "out_proj.weight"]),
    "apart": (
        lambda: nn.MultiheadAttention(8, 2, kdim=4, vdim=12),
        [*(f"{part}_proj_weight" for part in "qkv"), "out_proj.weight"],
    ),
    "bilinear": (lambda: nn.Bilinear(3, 4, 5), ["weight"]),
}


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_that_initialize_knows(name: str) -> None:
    make, expected = LAYERS[name]
    model = initialize_(nn.ModuleDict({"layer": make(), "output": nn.Linear(4, 2)}))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    kept = keep_orthogonal(optimizer, model, every=1, tolerance=0.02)
    assert sorted(kept.names) == sorted(f"layer.{weight}" for weight in expected)
    sizes = {n: p.square().mean().item() for n, p in model.named_parameters() if n in kept.names}
    for _ in range(3):
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=seeded())
        optimizer.step()
        assert max(kept.error.values()) < 0.02
    for weight, size in sizes.items():
        after = model.get_parameter(weight).square().mean().item()
        assert after == pytest.approx(size, rel=0.02)


def test_automatic_intervals_stay_within_the_tolerance() -> None:
    """Rather above than below is what `size_of` says, so no interval is too long by much."""
    model = plain(48)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    kept = keep_orthogonal(optimizer, model, tolerance=0.05)
    errors: list[float] = []
    train(model, optimizer, 200, lambda: errors.append(max(kept.error.values())))
    assert max(errors) < 0.06
    assert kept.corrections < 60, kept
    assert kept.interval > 3


def test_a_large_step_is_brought_back_at_once() -> None:
    model = plain()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    kept = keep_orthogonal(optimizer, model)
    for size in (0.1, 1.0, 30.0):
        for parameter in model.parameters():
            parameter.grad = size * torch.randn(parameter.shape, generator=seeded())
        optimizer.step()
        assert max(kept.error.values()) < 0.1
    with torch.no_grad():
        model[2].weight.zero_()  # of no rank, so any is the nearest
    kept.correct()
    assert max(kept.error.values()) < 0.1


def test_what_is_not_finite_is_told_once_and_left() -> None:
    model = plain()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    kept = keep_orthogonal(optimizer, model)
    with torch.no_grad():
        model[2].weight[0, 0] = torch.nan
        model[4].weight.mul_(1.3)
    with pytest.warns(SelfNormWarning, match=r"no longer finite and left as they are: 2\.weight\."):
        kept.correct()
    kept.correct()  # a second warning would be an error
    assert kept.error["0.weight"] < 0.1 > kept.error["4.weight"]
    assert math.isnan(kept.error["2.weight"])
    assert model[2].weight.isnan().sum() == 1


def test_parameters_that_moved_are_found() -> None:
    """`load_state_dict(assign=True)` and `model.to` leave other memory behind the parameters."""
    model = plain()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    kept = keep_orthogonal(optimizer, model)
    model[0].weight.data = model[0].weight.data * 1.5
    kept.correct()
    assert max(kept.error.values()) < 0.1


@pytest.mark.parametrize("fused", [False, True])
def test_a_step_that_a_scaler_skips_moves_nothing(fused: bool) -> None:
    model = plain()
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.0, fused=fused)
    keep_orthogonal(optimizer, model, every=1)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    with torch.no_grad():
        model[2].weight.mul_(1.1)
    before = copy.deepcopy(model.state_dict())
    for infinite in (True, False):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(torch.randn(8, 16, generator=seeded())).float().square().mean()
        scaler.scale(loss).backward()
        if infinite:
            model[0].weight.grad[0, 0] = torch.inf
        scaler.step(optimizer)
        scaler.update()
        same = [torch.equal(value, model.state_dict()[n]) for n, value in before.items()]
        assert all(same) if infinite else not any(same)


def test_a_training_goes_on_after_a_checkpoint() -> None:
    """The interval and the steps since the last correction are in the optimizer's state."""

    def made() -> tuple[nn.Sequential, torch.optim.Optimizer, OrthogonalHandle]:
        model = plain()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        return model, optimizer, keep_orthogonal(optimizer, model, tolerance=0.05)

    model, optimizer, kept = made()
    train(model, optimizer, 23)
    state = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    train(model, optimizer, 20)
    other, second, again = made()
    other.load_state_dict(state[0])
    second.load_state_dict(state[1])
    assert kept.interval > 1
    train(other, second, 20)
    assert again.interval == kept.interval
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_the_same_bits_for_the_same_seed_and_a_compiled_model() -> None:
    ends: list[dict[str, Tensor]] = []
    for turn in range(3):
        model = plain()
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        run = torch.compile(model, backend="eager") if turn == 2 else model
        assert isinstance(run, nn.Module)
        keep_orthogonal(optimizer, run)
        train(run, optimizer, 10)
        ends.append(model.state_dict())
    for end in ends[1:]:
        assert all(torch.equal(value, end[name]) for name, value in ends[0].items())


def test_it_ends_with_remove_and_with_the_block() -> None:
    model = plain()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    with keep_orthogonal(optimizer, model, every=1) as kept:
        train(model, optimizer, 3)
    train(model, optimizer, 30)
    assert max(kept.error.values()) > 0.05
    assert kept.corrections == 3
    again = keep_orthogonal(optimizer, model, every=2)
    again.remove()
    again.remove()
    assert "corrections=0" in repr(again)
    assert "selfnorm_keep_orthogonal" not in optimizer.state_dict()


def test_nothing_outlives_the_training() -> None:
    model = plain()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    keep_orthogonal(optimizer, model)
    gone = weakref.ref(optimizer), weakref.ref(model)
    del model, optimizer
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_dtypes(dtype: torch.dtype) -> None:
    model = plain().to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    kept = keep_orthogonal(optimizer, model, every=1)
    for _ in range(3):
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=seeded()).to(dtype)
        optimizer.step()
        assert max(kept.error.values()) < 0.1
    assert model[0].weight.dtype == dtype


def test_the_tolerance_goes_by_depth_and_dtype() -> None:
    def found(depth: int, dtype: torch.dtype = torch.float32) -> float:
        model = plain(4, depth).to(dtype)
        return keep_orthogonal(torch.optim.SGD(model.parameters()), model).tolerance

    assert found(3) == found(16) == 0.25
    assert found(17) == found(44) == 0.09
    assert found(100) == pytest.approx(0.04)
    assert found(400) == pytest.approx(0.015)
    assert found(100, torch.bfloat16) == 0.0625


def test_names_choose() -> None:
    def names(**options: object) -> list[str]:
        model = plain()
        return quietly(torch.optim.SGD(model.parameters()), model, **options).names

    assert names(exclude="0") == ["2.weight", "4.weight"]
    assert names(exclude=["2.weight", "4"]) == ["0.weight"]
    assert names(include=["2", "6"]) == ["2.weight", "6.weight"]
    assert names(include=["0", "2"], exclude="0") == ["2.weight"]


def test_what_cannot_be_kept_is_told() -> None:
    model = plain()
    nn.utils.parametrizations.weight_norm(model[2])
    model[4].weight.requires_grad_(requires_grad=False)
    with pytest.warns(SelfNormWarning, match=r"2\.weight \(parametrized"):
        kept = keep_orthogonal(torch.optim.SGD(model.parameters()), model)
    assert kept.names == ["0.weight"]

    model = plain()
    model[2].weight = nn.Parameter(torch.zeros(24, 24, dtype=torch.complex64))
    with pytest.warns(SelfNormWarning, match="would be unitary"):
        keep_orthogonal(torch.optim.SGD(model.parameters()), model)

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.hidden = nn.Embedding(10, 4), nn.Linear(4, 4)
            self.decoder, self.output = nn.Linear(4, 10), nn.Linear(10, 1)
            self.decoder.weight = self.table.weight
            self.twin = nn.Linear(4, 4)
            self.twin.weight = self.hidden.weight

    tied = Tied()
    with pytest.warns(SelfNormWarning, match=r"decoder\.weight \(tied to a table"):
        kept = keep_orthogonal(torch.optim.SGD(tied.parameters()), tied, exclude="output")
    assert kept.names == ["hidden.weight"]


def test_decay_that_has_no_effect_is_told_and_has_none() -> None:
    ends: list[Tensor] = []
    for decay in (0.0, 0.5):
        model = plain()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=decay)
        kept = quietly(optimizer, model, every=1)
        assert kept.decayed() == (kept.names if decay else [])
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        ends.append(model[2].weight.detach())
    torch.testing.assert_close(*ends, rtol=0, atol=0.01)
    optimizer = torch.optim.AdamW(plain().parameters())
    model = plain()
    with pytest.warns(SelfNormWarning, match="weight_decay=0"):
        keep_orthogonal(torch.optim.AdamW(model.parameters()), model)


def test_bad_input_has_a_clear_line() -> None:
    model = plain()
    optimizer = torch.optim.SGD(model.parameters())
    keep_orthogonal(optimizer, model, include="0")
    for error, match, options in (
        (ArgumentError, "kept already by this optimizer", {}),
        (ArgumentError, "holds none of the model's", {"model": plain()}),
        (ArgumentError, "include holds names .* none called 'nine'", {"include": "nine"}),
        (ArgumentError, "exclude holds names", {"exclude": [3]}),
        (ArgumentError, "tolerance is .* got 0", {"tolerance": 0}),
        (ArgumentError, "got nan", {"tolerance": torch.nan}),
        (ArgumentError, "every is .* got 0", {"every": 0}),
        (ArgumentError, "every is .* got 'always'", {"every": "always"}),
        (UnsupportedError, "got SGD and SGD", {"model": optimizer}),
        (UnsupportedError, "in this order", {"optimizer": model, "model": optimizer}),
    ):
        given = {"optimizer": optimizer, "model": model} | options
        with pytest.raises(error, match=match):
            keep_orthogonal(**given)
    single = nn.Linear(3, 3)
    with pytest.raises(ArgumentError, match="one layer with weights, or none"):
        keep_orthogonal(torch.optim.SGD(single.parameters()), single)
    half = plain().to(torch.bfloat16)
    with pytest.raises(ArgumentError, match=r"rounded to within 0\.0625"):
        keep_orthogonal(torch.optim.SGD(half.parameters()), half, tolerance=0.01)
    broken = plain()
    with torch.no_grad():
        broken[2].weight.fill_(torch.inf)
    before = copy.deepcopy(broken.state_dict())
    with pytest.raises(ArgumentError, match=r"finite numbers; '2\.weight'"):
        keep_orthogonal(torch.optim.SGD(broken.parameters()), broken)
    assert all(torch.equal(v, broken.state_dict()[n]) for n, v in before.items())
