"""A package that is a function too: `selfnorm.audit(model, x)` beside `selfnorm.audit.Report`."""

import inspect
import sys
from collections.abc import Callable
from types import ModuleType


def make_callable(package: str, function: Callable[..., object]) -> None:
    """Let a package that is being imported be called as that function."""
    module = sys.modules[package]
    name = f"{function.__name__.title()}Package"
    module.__class__ = type(name, (ModuleType,), {"__call__": staticmethod(function)})
    module.__dict__["__signature__"] = inspect.signature(function)
