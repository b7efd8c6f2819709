"""Compiled and parallel models, seen from inside."""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import nn

from selfnorm._torch_private import COMPILED, is_compiled


def inner(model: nn.Module) -> nn.Module:
    """The module that a compiled or parallel one stands for."""
    while True:
        original = getattr(model, COMPILED, None)
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        elif isinstance(original, nn.Module):
            model = original
        else:
            return model


@contextmanager
def eager(model: nn.Module) -> Generator[None]:
    """Compiled parts run as they were written, so that hooks and functions are seen."""
    if not any(is_compiled(module) for module in model.modules()):
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield
