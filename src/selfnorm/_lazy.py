"""Public names that load when they are first used, as a package's `__init__.pyi` lists them.

What is not used is not imported: `selfnorm --help` answers without torch, the theory needs no
torch, and the modules need no scikit-learn. Scientific Python's lazy_loader does the same, but for
the line that names a missing extra.
"""

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from selfnorm import _extras


def attach(
    package: str, file: str
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """The package's `__getattr__`, `__dir__` and `__all__`.

    Args:
        package: Its `__name__`.
        file: Its `__file__`; the stub `__init__.pyi` beside it holds `from .place import name as
            name`, a line a name, or `from . import module as module`.
    """
    places = dict(_places(Path(file).with_suffix(".pyi")))
    names = sorted(places)

    def load(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        place = places[name] or name
        with _extras.told():
            value: Any = import_module(f"{package}.{place}")
        value = getattr(value, name) if places[name] else value
        setattr(sys.modules[package], name, value)  # from now on at no cost
        return value

    return load, lambda: names, names


def _places(stub: Path) -> list[tuple[str, str]]:
    """Each public name with the module, from the package on, that holds it; "" if it is one."""
    return [
        (alias.name, node.module or "")
        for node in ast.parse(stub.read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
