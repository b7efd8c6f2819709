"""What is refused, with which words, and what comes back untouched."""

import subprocess
import sys

import pytest
import torch
from torch.overrides import TorchFunctionMode

import selfnorm
from selfnorm.errors import ArgumentError, UnsupportedError
from selfnorm.ops import alpha_dropout, feature_alpha_dropout, selu, selu_alpha_dropout
from support.compare import assert_same
from support.samples import normal

DROPOUTS = [alpha_dropout, selu_alpha_dropout, feature_alpha_dropout]


@pytest.mark.parametrize("function", DROPOUTS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan"), float("inf")])
def test_p_is_a_probability(p: float, training: bool, function) -> None:
    with pytest.raises(ArgumentError, match=r"in \[0, 1\]; got p=.*Pass a fraction"):
        function(normal(2, 2), p, training)


@pytest.mark.parametrize("function", [selu, *DROPOUTS])
@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn])
def test_dtypes_without_selu(dtype: torch.dtype, function) -> None:
    with pytest.raises(UnsupportedError, match=rf"float16; got {dtype}\. Convert the input"):
        function(torch.zeros(2, 2, dtype=dtype))


@pytest.mark.parametrize("function", [alpha_dropout, feature_alpha_dropout])
@pytest.mark.parametrize(("p", "training"), [(0.0, True), (0.5, False)])
def test_no_dropout_is_the_input_itself(p: float, training: bool, function) -> None:
    x = normal(3, 3)
    assert function(x, p, training) is x


@pytest.mark.parametrize(("p", "training"), [(0.0, True), (0.5, False)])
def test_no_dropout_leaves_selu(p: float, training: bool) -> None:
    x = normal(30)
    assert torch.equal(selu_alpha_dropout(x, p, training), selu(x))


@pytest.mark.parametrize(
    ("shape", "spatial_dims", "words"),
    [
        ((4,), None, r"2 dimensions or more; got 1.*pass spatial_dims"),
        ((), None, r"2 dimensions or more; got 0"),
        ((4, 4), 2, r"has 3 dimensions, or 4 with a batch.*got 2"),
        ((4, 4, 4, 4, 4), 2, r"has 3 dimensions, or 4 with a batch.*got 5"),
        ((4,), -1, r"not negative"),
    ],
)
def test_shapes_of_features(shape: tuple[int, ...], spatial_dims: int | None, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        feature_alpha_dropout(normal(*shape), spatial_dims=spatial_dims)


def test_the_front_door_loads_lazily() -> None:
    code = "import sys, selfnorm; assert 'torch' not in sys.modules; selfnorm.selu; selfnorm.nn"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert selfnorm.selu is selu
    assert selfnorm.selu_alpha_dropout is selu_alpha_dropout
    assert selfnorm.alpha_dropout is alpha_dropout


class Watch(TorchFunctionMode):
    """Notes which functions are called, and lets them be."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[object] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.seen.append(func)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("function", [selu, *DROPOUTS])
def test_a_mode_sees_the_call(function) -> None:
    x = normal(4, 5)
    arguments = () if function is selu else (0.3, True)
    torch.manual_seed(1)
    expected = function(x, *arguments)
    with Watch() as watch:
        torch.manual_seed(1)
        assert_same(function(x, *arguments), expected)
    assert function in watch.seen


def test_a_tensor_class_can_override() -> None:
    class Loud(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            if func is selu_alpha_dropout:
                return "overridden"
            return super().__torch_function__(func, types, args, kwargs or {})

    assert selu_alpha_dropout(normal(3).as_subclass(Loud), 0.1, training=True) == "overridden"
    assert isinstance(selu(normal(3).as_subclass(Loud)), Loud)
