"""What a module's code reads of its parts, besides calling them."""

import ast
import dis
import inspect
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from types import FunctionType

from torch import nn

_READS = {"LOAD_ATTR", "LOAD_METHOD"}
_DIVISIONS = (ast.Div, ast.FloorDiv, ast.Mod)
_NUMBERS = {"len", "int", "float", "range", "tuple", "list", "size", "shape", "dim", "ndim"}
_NO_TENSORS = (
    ast.Constant, ast.Tuple, ast.List, ast.ListComp, ast.JoinedStr, ast.Compare, ast.BoolOp,
)  # fmt: skip


def lacking(parent: nn.Module, child: str, new: nn.Module) -> str:
    """An attribute that a `forward` reads of a child, and that another in its place has not.

    As in `x.to(self.norm.weight.dtype)`. "" if there is none.
    """
    read = (name for part, name in _read_in_forward(type(parent)) if part == child)
    return next((name for name in read if not hasattr(new, name)), "")


def adds(kind: type[nn.Module]) -> bool:
    """Whether a `forward`, or a method that it calls, may add tensors.

    Sums with numbers, tuples and texts are none, nor is one that something is divided by, as
    `std + eps`. Where the source is not at hand, it may.
    """
    return any(_adds(function) for function in _functions(kind))


def _adds(function: FunctionType) -> bool:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError, TypeError):
        return True
    divisors = {id(part) for node in ast.walk(tree) for part in _divisor(node)}
    return any(id(node) not in divisors and _is_sum(node) for node in ast.walk(tree))


def _divisor(node: ast.AST) -> Iterator[ast.AST]:
    """All of what something is divided by."""
    divides = isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, _DIVISIONS)
    divisor = node.right if isinstance(node, ast.BinOp) else getattr(node, "value", None)
    if divides and divisor is not None:
        yield from ast.walk(divisor)


def _is_sum(node: ast.AST) -> bool:
    """Whether it may add two tensors."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return not (_is_no_tensor(node.left) or _is_no_tensor(node.right))
    if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add):
        return not _is_no_tensor(node.value)
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"add", "add_"}
        and not all(map(_is_no_tensor, node.args[-1:]))
    )


def _is_no_tensor(node: ast.AST) -> bool:
    """Whether it is a number, a text or several things by the way it is written."""
    if isinstance(node, ast.BinOp):
        return _is_no_tensor(node.left) or _is_no_tensor(node.right)
    if isinstance(node, ast.Subscript | ast.UnaryOp | ast.Starred):
        return _is_no_tensor(node.operand if isinstance(node, ast.UnaryOp) else node.value)
    if isinstance(node, ast.Call):
        return getattr(node.func, "attr", getattr(node.func, "id", "")) in _NUMBERS
    return isinstance(node, _NO_TENSORS) or getattr(node, "attr", "") in _NUMBERS


def _read_in_forward(kind: type[nn.Module]) -> Iterator[tuple[str, str]]:
    """Names of attributes, and of attributes of these, in a `forward` and methods that it calls."""
    for function in _functions(kind):
        for first, second in pairwise(dis.get_instructions(function)):
            if first.opname in _READS and second.opname in _READS:
                yield str(first.argval), str(second.argval)


def _functions(kind: type[nn.Module]) -> Iterator[FunctionType]:
    """A `forward`, and the methods that it calls."""
    waiting, done = ["forward"], set[str]()
    while waiting:
        name = waiting.pop()
        function = inspect.unwrap(getattr(kind, name))
        if name in done or (hasattr(nn.Module, name) and name != "forward"):
            continue
        done.add(name)
        if inspect.isfunction(function):
            yield function
            names = function.__code__.co_names
            waiting += [one for one in names if callable(getattr(kind, one, None))]
