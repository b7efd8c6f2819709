"""The implementations that must agree: the reference, and a kernel for each kind of device."""

import importlib
import os
from collections.abc import Callable
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from selfnorm.ops import _cpu, _gpu, _reference
from selfnorm.ops._library import SCHEMAS
from support.require import require

NAMES = tuple(SCHEMAS)


@pytest.fixture(params=["reference", "cpu", "gpu"])
def implementation(request: pytest.FixtureRequest) -> Any:
    """The four operations on CPU tensors, each returning a new tensor."""
    if request.param == "reference":
        return _reference
    if request.param == "cpu":
        require("cpu", _cpu.why_not())
        return returning(_cpu)
    return returning(request.getfixturevalue("gpu_kernels"))


@pytest.fixture
def gpu_kernels(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The GPU kernels on CPU tensors: on a GPU if there is one, else in Triton's interpreter."""
    require("triton", None if find_spec("triton") else "triton is not installed")
    if os.environ.get("TRITON_INTERPRET") != "1":
        require("gpu", _gpu.why_not())
        return SimpleNamespace(**{name: on_gpu(getattr(_gpu, name)) for name in NAMES})
    interpreter = importlib.import_module("triton.runtime.interpreter")
    convert = interpreter._convert_float

    def round_to_nearest(data: Any, source: Any, target: Any, mode: Any) -> Any:
        """As hardware does: the interpreter's own rounding loses carries and ties."""
        if str(source) == "fp32" and str(target) == "bf16":
            return torch.from_numpy(np.array(data)).bfloat16().view(torch.uint16).numpy()
        return convert(data, source, target, mode)

    monkeypatch.setattr(interpreter, "_convert_float", round_to_nearest)
    return _gpu


def on_gpu(kernel: Callable[..., None]) -> Callable[..., None]:
    """A kernel that takes CPU tensors and works on a GPU on copies of all the memory they view."""

    def call(out: Tensor, *arguments: Any) -> None:
        copies: dict[int, torch.UntypedStorage] = {}

        def there(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            memory = value.untyped_storage()
            copy = copies.setdefault(memory.data_ptr(), memory.cuda())
            moved = torch.empty(0, dtype=value.dtype, device="cuda")
            return moved.set_(copy, value.storage_offset(), value.shape, value.stride())

        kernel(*(there(value) for value in (out, *arguments)))
        memory = out.untyped_storage()
        memory.copy_(copies[memory.data_ptr()])

    return call


def returning(kernels: Any) -> SimpleNamespace:
    """Kernels, which are told where to write, as functions that return what they wrote."""

    def adapt(kernel: Callable[..., None]) -> Callable[..., Tensor]:
        def call(x: Tensor, *arguments: Any) -> Tensor:
            out = torch.empty_like(x)
            kernel(out, x, *arguments)
            return out

        return call

    return SimpleNamespace(**{name: adapt(getattr(kernels, name)) for name in NAMES})
