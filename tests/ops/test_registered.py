"""The registered operations: who sees one of them alone finds its derivative, and it checks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, hessian, jacfwd, jvp, vmap
from torch.fx.experimental.proxy_tensor import make_fx

import selfnorm
from selfnorm.errors import ArgumentError, UnsupportedError
from selfnorm.ops import selu, selu_alpha_dropout
from selfnorm.ops._library import OPS
from support.compare import assert_close
from support.fresh import run_fresh
from support.samples import normal
from support.tolerances import SAME_UP_TO_ROUNDING

SEED = torch.tensor(3)
DOUBLE = SAME_UP_TO_ROUNDING[torch.float64]
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning"),
]
Function = Callable[[Tensor], Tensor]

OURS: dict[str, Function] = {
    "selu": selu,
    "selu_": lambda x: selu(x.clone(), inplace=True),
    "fused": lambda x: selu_alpha_dropout(x, 0.1),
    "fused_": lambda x: selu_alpha_dropout(x.clone(), 0.1, inplace=True),
}


def cubed(function: Function) -> Function:
    """A number whose second derivative has no zeros."""
    return lambda x: function(x).pow(3).sum()


DERIVATIVES: dict[str, Callable[[Function], Function]] = {
    "jvp": lambda f: lambda x: jvp(f, (x,), (torch.cos(x),))[1],
    "jacfwd": jacfwd,
    "grad": lambda f: grad(cubed(f)),
    "vmap of grad": lambda f: vmap(grad(cubed(f))),
    "grad of grad": lambda f: grad(lambda x: grad(cubed(f))(x).sum()),
    "hessian": lambda f: hessian(cubed(f)),
    "jacfwd of jacfwd": lambda f: jacfwd(jacfwd(cubed(f))),
}


def sample() -> Tensor:
    """Away from 0, where the derivative jumps."""
    x = normal(4, 5, dtype=torch.float64)
    return x + 0.1 * x.sign()


# Inductor takes seconds, and compiles what aot_eager gives it.
BACKENDS = {"none": tuple(OURS), "eager": ("selu", "fused_"), "aot_eager": ("selu", "fused_")}
WITHIN = [(d, b, name) for d in DERIVATIVES for b, names in BACKENDS.items() for name in names]
WITHIN += [(derivative, "inductor", "selu") for derivative in ("jvp", "grad of grad")]


@pytest.mark.parametrize(("derivative", "backend", "name"), WITHIN)
def test_transforms_within_a_compiled_function(derivative: str, backend: str, name: str) -> None:
    """Which lost the derivative in silence; torch's own SELU is the yardstick."""
    x = sample()
    expected = DERIVATIVES[derivative](nn.functional.selu)(x)
    function = DERIVATIVES[derivative](OURS[name])
    if backend != "none":
        torch.compiler.reset()
        function = torch.compile(function, backend=backend)
    assert_close(function(x), expected, DOUBLE)


def by_make_fx(function: Function, x: Tensor) -> Function:
    return make_fx(lambda x: function(x))(x)  # noqa: PLW0108 - it counts parameters


def by_make_fx_before_dispatch(function: Function, x: Tensor) -> Function:
    return make_fx(lambda x: function(x), pre_dispatch=True)(x)  # noqa: PLW0108 - the same


def by_export(strict: bool) -> Callable[[Function, Tensor], Function]:
    class Module(nn.Module):
        def __init__(self, function: Function) -> None:
            super().__init__()
            self.function = function

        def forward(self, x: Tensor) -> Tensor:
            return self.function(x)

    return lambda function, x: torch.export.export(Module(function), (x,), strict=strict).module()


def by_compile(backend: str) -> Callable[[Function, Tensor], Function]:
    def made(function: Function, _: Tensor) -> Function:
        torch.compiler.reset()
        return torch.compile(function, backend=backend, fullgraph=True)

    return made


WAYS: dict[str, Callable[[Function, Tensor], Function]] = {
    "eager": lambda function, _: function,
    "compile eager": by_compile("eager"),
    "compile aot_eager": by_compile("aot_eager"),
    "compile inductor": by_compile("inductor"),
    "export": by_export(strict=False),
    "export strict": by_export(strict=True),
    "make_fx": by_make_fx,
    "make_fx before dispatch": by_make_fx_before_dispatch,
}


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("way", WAYS)
def test_derivatives_on_every_way(way: str, name: str) -> None:
    """The first derivative everywhere; the second where torch's own SELU has one."""
    x = sample().requires_grad_()
    results = []
    for function in (OURS[name], nn.functional.selu):
        made = WAYS[way](function, x.detach())
        twice = not way.startswith("compile") or way == "compile eager"
        (first,) = torch.autograd.grad(made(x).pow(3).sum(), x, create_graph=twice)
        second = torch.autograd.grad(first.sum(), x)[0] if twice else first
        results.append((first.detach(), second.detach()))
    for one, other in zip(*results, strict=True):
        assert_close(one, other, DOUBLE)


@pytest.mark.parametrize("p", [0.0, 0.2])
@pytest.mark.parametrize("way", WAYS)
def test_gradients_of_a_network_on_every_way(way: str, p: float) -> None:
    """In place and with masks: of every parameter, in training, beside torch's own modules."""
    torch.manual_seed(0)
    ours = selfnorm.nn.MLP(5, 3, width=16, depth=3, dropout=p).double()
    drop: list[nn.Module] = [nn.AlphaDropout(p)] if p else []
    twin = nn.Sequential(
        *(m for k in (1, 2, 3) for m in (getattr(ours, f"linear{k}"), nn.SELU(), *drop)),
        ours.output,
    )
    model = twin if way.startswith("export") else ours  # an export has torch's own masks
    parameters = dict(ours.named_parameters())

    def call(x: Tensor) -> Tensor:
        return functional_call(ours, parameters, (x,))

    x = sample()
    if way.startswith("export"):
        made: Function = torch.export.export(ours, (x,), strict="strict" in way).module()
        of = [made.get_parameter(name) for name in parameters]
    elif way.startswith("make_fx"):
        of = list(parameters.values())

        def apart(x: Tensor, *values: Tensor) -> Tensor:
            return functional_call(ours, dict(zip(parameters, values, strict=True)), x)

        graph = make_fx(apart, pre_dispatch="before" in way)(x, *of)

        def made(x: Tensor) -> Tensor:
            return graph(x, *of)

    else:
        made, of = WAYS[way](call, x), list(parameters.values())
    torch.manual_seed(3)
    found = torch.autograd.grad(made(x).pow(2).sum(), of)
    torch.manual_seed(3)
    expected = torch.autograd.grad(model(x).pow(2).sum(), list(model.parameters()))
    for one, other in zip(found, expected, strict=True):
        assert other.abs().max() > 0.01
        assert_close(one, other, 100 * DOUBLE)  # sums of up to 16 terms, three layers deep


def test_gradients_of_each_sample_with_a_mask_of_its_own() -> None:
    """By seeds, and as the usual recipe has it: `vmap(grad(...), randomness="different")`."""

    def loss(x: Tensor, seed: Tensor) -> Tensor:
        return OPS.selu_alpha_dropout(x, seed, 0.4).square().sum()

    x, seeds = normal(4, 700), torch.arange(4)
    together = vmap(grad(loss))(x, seeds)
    alone = torch.stack([grad(loss)(one, seed) for one, seed in zip(x, seeds, strict=True)])
    assert_close(together, alone, SAME_UP_TO_ROUNDING[torch.float32])
    model = selfnorm.nn.MLP(700, 1, width=32, depth=2, dropout=0.3)
    parameters = dict(model.named_parameters())

    def of_one(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(model, parameters, (x,)).sum()

    found = vmap(grad(of_one), in_dims=(None, 0), randomness="different")(parameters, x)
    rows = found["linear2.weight"].flatten(1).count_nonzero(1)
    assert len(rows.unique()) > 1  # other units dropped in each sample


def test_the_operations_are_there_once_the_package_is_imported() -> None:
    """In a fresh process, and before any function is looked up; the front door loads nothing."""
    code = (
        "import torch, selfnorm.ops\n"
        "x = torch.randn(9, requires_grad=True)\n"
        "torch.ops.selfnorm.selu(x).sum().backward()\n"
        "assert x.grad.all()\n"
    )
    run_fresh(code)


def test_a_program_saved_with_our_operations_runs_in_a_fresh_process(tmp_path: Path) -> None:
    """As the page says: what was traced with a mask needs `import selfnorm.ops` to be loaded."""

    class Masked(nn.Module):
        def forward(self, x: Tensor, seed: Tensor) -> Tensor:
            return OPS.selu_alpha_dropout(x, seed, 0.3)

    file = tmp_path / "program.pt2"
    torch.export.save(torch.export.export(Masked(), (normal(50), SEED)), file)
    code = (
        "import sys, torch, selfnorm.ops\n"
        "x = torch.ones(50, requires_grad=True)\n"
        "y = torch.export.load(sys.argv[1]).module()(x, torch.tensor(3))\n"
        "y.sum().backward()\n"
        "print(x.grad.sum().item())"
    )
    said = run_fresh(code, file, warnings="ignore")
    x = torch.ones(50, requires_grad=True)
    OPS.selu_alpha_dropout(x, SEED, 0.3).sum().backward()
    assert abs(float(said) - float(x.grad.sum())) < 1e-4


X = normal(6, 4)
WRONG: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "a smaller gradient": (
        lambda: OPS.selu_backward(normal(1 << 20), normal(3), 0.0),
        ArgumentError,
        r"shape, dtype and device of its tensor, \(1048576,\).*; got \(3,\)",
    ),
    "another dtype": (
        lambda: OPS.selu_backward_from_input(X, X.double()),
        ArgumentError,
        r"got \(6, 4\) torch.float64",
    ),
    "seeds that do not fit": (
        lambda: OPS.alpha_dropout(X, torch.zeros(3, dtype=torch.int64), 0.3, 0, False),
        ArgumentError,
        r"input's first dimensions.*got seeds \(3,\), an input \(6, 4\)",
    ),
    "no seeds": (
        lambda: OPS.selu_alpha_dropout(X, torch.zeros(0, dtype=torch.int64), 0.3),
        ArgumentError,
        r"got seeds \(0,\)",
    ),
    "a seed of 32 bits": (
        lambda: OPS.selu_alpha_dropout(X, SEED.int(), 0.3),
        ArgumentError,
        r"Seeds are int64.*got torch.int32",
    ),
    "a seed with a point": (
        lambda: OPS.alpha_dropout(X, SEED.float(), 0.3, 0, False),
        ArgumentError,
        r"Seeds are int64.*got torch.float32",
    ),
    "a mask without a seed": (
        lambda: OPS.selu_alpha_dropout(X, None, 0.3),
        ArgumentError,
        r"Without a seed nothing is dropped.*got p=0.3",
    ),
    "no probability": (
        lambda: OPS.selu_alpha_dropout(X, SEED, 1.5),
        ArgumentError,
        r"in \[0, 1\]; got p=1.5",
    ),
    "more shared than there are": (
        lambda: OPS.alpha_dropout(X, SEED, 0.3, 3, False),
        ArgumentError,
        r"shared=3",
    ),
    "fewer shared than none": (
        lambda: OPS.alpha_dropout(X, SEED, 0.3, -1, False),
        ArgumentError,
        r"shared=-1",
    ),
    "a smaller gradient, of meta tensors": (
        lambda: OPS.selu_backward(torch.empty(7, device="meta"), torch.empty(3), 0.0),
        ArgumentError,
        r"shape, dtype and device of its tensor, \(7,\) torch.float32 on meta; got \(3,\)",
    ),
    "a form's smaller gradient": (
        lambda: OPS.shaped_selu_backward(X, normal(3), None, 0.0, 0.5, 0.5, 0.0),
        ArgumentError,
        r"shape, dtype and device of its tensor, \(6, 4\).*; got \(3,\)",
    ),
    "a form's seeds that do not fit": (
        lambda: OPS.shaped_selu_backward(X, X, torch.arange(3), 0.3, 0.5, 0.5, 0.0),
        ArgumentError,
        r"input's first dimensions.*got seeds \(3,\), an input \(6, 4\)",
    ),
    "a form's mask without a seed": (
        lambda: OPS.shaped_selu(X, None, 0.3, 0.5, 0.5, 0.0),
        ArgumentError,
        r"Without a seed nothing is dropped.*got p=0.3",
    ),
    "integers": (lambda: OPS.selu(torch.arange(3)), UnsupportedError, r"got torch.int64"),
}


@pytest.mark.parametrize("case", WRONG)
def test_raw_operations_check_what_comes(case: str) -> None:
    """A kernel that trusted a wrong size read foreign memory."""
    call, error, words = WRONG[case]
    with pytest.raises(error, match=words):
        call()
