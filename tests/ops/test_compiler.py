"""torch.compile, torch.export, fake tensors, autocast."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from selfnorm.ops import alpha_dropout, selu, selu_alpha_dropout
from selfnorm.ops._library import OPS
from selfnorm.theory import selu_constants, shaped_selu
from support.compare import assert_close, assert_same
from support.samples import LAYOUTS, normal
from support.tolerances import SAME_UP_TO_ROUNDING

FLOAT = SAME_UP_TO_ROUNDING[torch.float32]
FORM, SHIFTED = shaped_selu(100), selu_constants(gradient_gain=1)
# What torch 2.13 says about itself while it traces an autograd.Function or exports.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning"),
]

FUNCTIONS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "selu": lambda x, _: selu(x),
    "selu_": lambda x, _: selu(x * 1, inplace=True),
    "alpha_dropout": lambda x, p: alpha_dropout(x, p, training=True),
    "alpha_dropout_": lambda x, p: alpha_dropout(x * 1, p, training=True, inplace=True),
    "selu_alpha_dropout": lambda x, p: selu_alpha_dropout(x, p, training=True),
    "selu_alpha_dropout_": lambda x, p: selu_alpha_dropout(x * 1, p, training=True, inplace=True),
    "shaped": lambda x, _: selu(x, form=FORM),
    "shaped dropped_": lambda x, p: selu_alpha_dropout(x * 1, p, True, True, form=FORM),
    "shifted dropped": lambda x, p: selu_alpha_dropout(x, p, True, form=SHIFTED),
}
each_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


def operations(x: Tensor) -> dict[str, tuple[Any, ...]]:
    seed = torch.tensor(3)
    return {
        "selu": (x,),
        "selu_backward_from_input": (x, torch.ones_like(x)),
        "selu_alpha_dropout": (x, seed, 0.3),
        "selu_backward": (x, torch.ones_like(x), 0.3),
        "alpha_dropout": (x, seed, 0.3, 0, False),
        "shaped_selu": (x, seed, 0.3, *FORM),
        "shaped_selu_backward": (x, torch.ones_like(x), seed, 0.3, *FORM),
    }


# As torch makes fake tensors of results in the midst of a derivative.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.parametrize("layout", ["contiguous", "transposed", "sliced", "empty", "channels last"])
@pytest.mark.parametrize("name", operations(torch.zeros(0)))
def test_opcheck(name: str, layout: str) -> None:
    arguments = operations(LAYOUTS[layout](torch.float32).requires_grad_())[name]
    torch.library.opcheck(getattr(OPS, name).default, arguments)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", operations(torch.zeros(0)))
def test_the_layout_is_that_of_empty_like(name: str, layout: str) -> None:
    arguments = operations(LAYOUTS[layout](torch.float32))[name]
    result = getattr(OPS, name)(*arguments)
    assert result.stride() == torch.empty_like(arguments[0]).stride()


@pytest.mark.parametrize(
    ("backend", "dynamic", "name"),
    [
        (backend, how, name)
        for backend, how in (("eager", True), ("aot_eager", False))
        for name in FUNCTIONS
    ]
    + [("inductor", None, "selu_"), ("inductor", None, "selu_alpha_dropout_")],
)
def test_compiled_equals_eager(backend: str, dynamic: bool | None, name: str) -> None:
    """Forward and backward, for shapes and probabilities that change between calls."""
    function = FUNCTIONS[name]
    torch.compiler.reset()
    compiled = torch.compile(function, fullgraph=True, backend=backend, dynamic=dynamic)
    for shape, p in (((6, 5), 0.3), ((7, 3), 0.3), ((7, 3), 0.4), ((6, 5), 0.6)):
        x = normal(*shape).requires_grad_()
        results = []
        for run in (function, compiled):
            torch.manual_seed(1)
            y = run(x, p)
            results.append((y.detach(), torch.autograd.grad(y.pow(2).sum(), x)[0]))
        (y, gradient), (compiled_y, compiled_gradient) = results
        assert_close(compiled_y, y, FLOAT)
        assert_close(compiled_gradient, gradient, FLOAT)


class Layer(torch.nn.Module):
    def __init__(self, function: Callable[[Tensor, float], Tensor]) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(5, 5)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.linear(x), 0.3)


TWINS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "selu": lambda x, _: functional.selu(x),
    "alpha_dropout": lambda x, p: functional.alpha_dropout(x, p, training=True),
    "selu_alpha_dropout": lambda x, p: functional.alpha_dropout(functional.selu(x), p, True),
    "shaped": lambda x, _: blend(x),
    "shaped dropped": lambda x, p: functional.alpha_dropout(blend(x), p, True),
    "shifted dropped": lambda x, p: (
        functional.alpha_dropout(functional.selu(x), p, True) * SHIFTED.factor + SHIFTED.shift
    ),
}


def blend(x: Tensor) -> Tensor:
    return FORM.linear * x + FORM.factor * functional.selu(x)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("strict", [True, False])
def test_an_export_has_torch_operations_alone(strict: bool, name: str) -> None:
    """Values, masks, and gradients through the program are those of torch's own functions."""
    layer, twin = Layer(FUNCTIONS[name]), Layer(TWINS[name.removesuffix("_")])
    twin.load_state_dict(layer.state_dict())
    shapes = {"x": {0: torch.export.Dim("batch")}}
    program = torch.export.export(layer, (normal(6, 5),), strict=strict, dynamic_shapes=shapes)
    assert "selfnorm" not in str(program.graph)
    x = normal(11, 5)
    for exported in (program, program.run_decompositions({})):
        results = []
        for module in (exported.module(), twin):
            torch.manual_seed(2)
            y = module(x)
            (gradient,) = torch.autograd.grad(y.pow(2).sum(), [module.linear.weight])
            results.append((y.detach(), gradient))
        (y, gradient), (expected, expected_gradient) = results
        assert_close(y, expected, FLOAT)
        assert_close(gradient, expected_gradient, FLOAT)


def test_autocast_leaves_the_dtype_alone() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for dtype in (torch.float32, torch.bfloat16):
            for function in FUNCTIONS.values():
                assert function(normal(3, dtype=dtype), 0.5).dtype == dtype


def test_meta_tensors() -> None:
    x = torch.empty(3, 4, device="meta")
    for function in FUNCTIONS.values():
        assert function(x, 0.5).shape == (3, 4)


def test_deterministic_functions_of_their_arguments() -> None:
    for name, arguments in operations(normal(40)).items():
        operation = getattr(OPS, name)
        assert_same(operation(*arguments), operation(*arguments))


# torch makes a fake tensor of a saved output, and warns itself as it looks for its gradient.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.parametrize("name", ["selu", "alpha_dropout", "selu_alpha_dropout"])
def test_compiled_autograd(name: str) -> None:
    """The backward pass of an eager call, traced as one graph."""
    x = normal(50).requires_grad_()
    y = FUNCTIONS[name](x, 0.3).pow(2).sum()
    (expected,) = torch.autograd.grad(y, x, retain_graph=True)
    compiler = torch.compile(backend="eager", fullgraph=True)
    with torch._dynamo.compiled_autograd._enable(compiler):
        y.backward()
    assert_same(x.grad, expected)
