"""The implementations that must agree: the reference, and a kernel for each kind of device."""

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from selfnorm.ops import _cpu, _reference
from support.require import require

NAMES = ("selu", "selu_alpha_dropout", "selu_backward", "alpha_dropout")


@pytest.fixture(params=["reference", "cpu"])
def implementation(request: pytest.FixtureRequest) -> Any:
    """The four operations, each returning a new tensor."""
    if request.param == "reference":
        return _reference
    require("cpu", _cpu.why_not())
    return returning(_cpu)


def returning(kernels: ModuleType) -> SimpleNamespace:
    """Kernels, which are told where to write, as functions that return what they wrote."""

    def adapt(kernel: Callable[..., None]) -> Callable[..., Tensor]:
        def call(x: Tensor, *arguments: Any) -> Tensor:
            out = torch.empty_like(x)
            kernel(out, x, *arguments)
            return out

        return call

    return SimpleNamespace(**{name: adapt(getattr(kernels, name)) for name in NAMES})
