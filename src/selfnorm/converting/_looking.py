"""What a module's code reads of its parts, besides calling them."""

import dis
import inspect
from collections.abc import Iterator
from itertools import pairwise

from torch import nn

_READS = {"LOAD_ATTR", "LOAD_METHOD"}


def lacking(parent: nn.Module, child: str, new: nn.Module) -> str:
    """An attribute that a `forward` reads of a child, and that another in its place has not.

    As in `x.to(self.norm.weight.dtype)`. "" if there is none.
    """
    read = (name for part, name in _read_in_forward(type(parent)) if part == child)
    return next((name for name in read if not hasattr(new, name)), "")


def _read_in_forward(kind: type[nn.Module]) -> Iterator[tuple[str, str]]:
    """Names of attributes, and of attributes of these, in a `forward` and methods that it calls."""
    waiting, done = ["forward"], set[str]()
    while waiting:
        name = waiting.pop()
        function = inspect.unwrap(getattr(kind, name))
        if name in done or (hasattr(nn.Module, name) and name != "forward"):
            continue
        done.add(name)
        if not inspect.isfunction(function):
            continue
        for first, second in pairwise(dis.get_instructions(function)):
            if first.opname in _READS and second.opname in _READS:
                yield str(first.argval), str(second.argval)
        waiting += [one for one in function.__code__.co_names if callable(getattr(kind, one, None))]
