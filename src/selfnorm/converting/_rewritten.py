"""A module that runs another `forward`, and is otherwise what it was."""

import importlib
import linecache
from types import CodeType, ModuleType
from typing import Any, cast

from torch import fx, nn

from selfnorm.converting._flow import ABSENT, is_check, trace
from selfnorm.errors import UnsupportedError

_STATE = ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "training")


def rewrite(module: nn.Module, graph: fx.Graph) -> None:
    """Let a module run a graph as its `forward`.

    It stays the same object with the same attributes, hooks and methods, and its class is a
    subclass of the old one, under the same name, whose `code` shows the new `forward`. Such a
    module can be copied and pickled.
    """
    written = graph.python_code("self")
    used = _names_in(compile(written.src, "", "exec"))
    given = {name: value for name, value in written.globals.items() if name in used}
    absent = tuple(str(node.args[0].target) for node in graph.nodes if is_check(node))
    module.__class__ = _subclass(type(module), written.src, given, absent)


def is_rewritten(module: nn.Module) -> bool:
    """Whether it runs a graph in place of the `forward` that its class was written with."""
    return "__reduce_ex__" in vars(type(module)) and "code" in vars(type(module))


def as_graph_module(module: nn.Module) -> fx.GraphModule:
    """A rewritten module as one that needs torch alone, without the methods of its class.

    It shares children, parameters, buffers and hooks with the old one. That an argument is None is
    not looked at any more: code that does so keeps torch from tracing anything else.
    """
    traced, graph = trace(module).graph, fx.Graph()
    if traced is None:
        raise UnsupportedError(
            f"a rewritten forward must be traced again; that of {type(module).__name__} cannot be. "
            "Export the model without deploy."
        )
    for node in [node for node in traced.nodes if is_check(node)]:
        traced.erase_node(node)
    graph.output(graph.graph_copy(traced, {}))  # a tracer's class, which pickle asks for, stays out
    made = fx.GraphModule(module, graph, class_name=type(module).__name__)
    read = {node.target for node in graph.nodes if node.op == "get_attr"}  # tensors, not registered
    kept = {n: v for n, v in vars(module).items() if n in read.union(_STATE) or n.endswith("hooks")}
    vars(made).update(kept)
    return made


def _subclass(
    base: type[nn.Module], code: str, given: dict[str, Any], absent: tuple[str, ...]
) -> type[nn.Module]:
    scope = given | {"__name__": base.__module__}
    file = f"<selfnorm: forward of {base.__qualname__}, {hash(code):x}>"
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)  # for scripting
    exec(compile(code, file, "exec"), scope)  # noqa: S102 - fx wrote it, of code that has run

    def reduced(self: nn.Module, _protocol: int) -> tuple[object, ...]:
        return _rebuilt, (base, code, _by_name(given), absent), vars(self)

    same = {name: getattr(base, name) for name in ("__module__", "__qualname__", "__doc__")}
    own = {"forward": scope["forward"], "code": code, ABSENT: absent, "__reduce_ex__": reduced}
    return cast("Any", type(base))(base.__name__, (base,), same | own)


def _rebuilt(
    base: type[nn.Module], code: str, given: dict[str, Any], absent: tuple[str, ...]
) -> nn.Module:
    """An empty module of a subclass, for pickle and `copy` to fill."""
    found = {
        name: importlib.import_module(value.name) if isinstance(value, _Imported) else value
        for name, value in given.items()
    }
    made = _subclass(base, code, found, absent)
    return nn.Module.__new__(made)


class _Imported:
    """A module of Python by its name, as pickle does not take it by itself."""

    def __init__(self, name: str) -> None:
        self.name = name


def _by_name(given: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _Imported(value.__name__) if isinstance(value, ModuleType) else value
        for name, value in given.items()
    }


def _names_in(code: CodeType) -> set[str]:
    """All names that a piece of code, and what it defines, looks up."""
    inner = (part for part in code.co_consts if isinstance(part, CodeType))
    return set(code.co_names).union(*map(_names_in, inner))
