"""Every private name of torch that selfnorm uses, and what serves without it."""

from torch import nn

COMPILED = "_orig_mod"
"""The attribute under which a compiled model keeps the one that it stands for."""


def is_compiled(module: nn.Module) -> bool:
    """Whether `torch.compile` or `Module.compile` made a module run compiled."""
    return hasattr(module, COMPILED) or vars(module).get("_compiled_call_impl") is not None
