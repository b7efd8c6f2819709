"""What is refused, with which words, and what comes back untouched."""

import subprocess
import sys
from typing import Any

import numpy as np
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
    arguments = () if function is selu else (0.5, True)
    mend = "Call it for input.real" if dtype.is_complex else "Convert the input first"
    with pytest.raises(UnsupportedError, match=rf"float16; got {dtype}\. {mend}"):
        function(torch.zeros(2, 2, dtype=dtype), *arguments)


@pytest.mark.filterwarnings("ignore:.*quantized tensor creation:UserWarning")
@pytest.mark.parametrize("function", [selu, selu_alpha_dropout])
def test_quantized_tensors_are_told_what_mends_them(function) -> None:
    x = torch.quantize_per_tensor(normal(3), 0.1, 0, torch.quint8)
    with pytest.raises(UnsupportedError, match=r"got torch.quint8\. .*input\.dequantize\(\)"):
        function(x)


@pytest.mark.parametrize("function", [selu, *DROPOUTS])
@pytest.mark.parametrize("x", [np.zeros(3), [1.0, 2.0], None, 1.0], ids=lambda x: type(x).__name__)
def test_what_is_no_tensor(x: object, function) -> None:
    with pytest.raises(UnsupportedError, match=rf"takes a tensor; got {type(x).__name__}\. "):
        function(x)


@pytest.mark.parametrize("function", [alpha_dropout, feature_alpha_dropout])
@pytest.mark.parametrize(("p", "training"), [(0.0, True), (0.5, False)])
def test_no_dropout_is_the_input_itself(p: float, training: bool, function) -> None:
    x = normal(3, 3)
    assert function(x, p, training) is x


@pytest.mark.parametrize("function", [alpha_dropout, feature_alpha_dropout])
def test_without_dropout_any_tensor_passes_as_in_torch(function) -> None:
    for x in (torch.arange(3), torch.zeros(2, 2, dtype=torch.complex64), normal(5), normal()):
        assert function(x, 0.5) is x
        assert torch.nn.functional.feature_alpha_dropout(x, 0.5).shape == x.shape


@pytest.mark.parametrize("p", [torch.tensor(0.25), np.float32(0.25), np.float64(0.25)])
@pytest.mark.parametrize("function", DROPOUTS)
def test_p_may_be_any_number(p: Any, function) -> None:
    results = []
    for number in (p, 0.25):
        torch.manual_seed(0)
        results.append(function(normal(40, 5), number, True))
    assert_same(*results)


@pytest.mark.parametrize("function", DROPOUTS)
def test_p_is_one_number(function) -> None:
    with pytest.raises(ArgumentError, match=r"p is one number; got a tensor of shape \(1,\)"):
        function(normal(3, 3), torch.tensor([0.3]), True)


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
        feature_alpha_dropout(normal(*shape), training=True, spatial_dims=spatial_dims)


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
