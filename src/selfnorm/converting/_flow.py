"""Which module reads which: known for `Sequential`, traced by `torch.fx` for other forwards."""

import inspect
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import fx, nn
from torch.fx.immutable_collections import immutable_dict
from torch.fx.node import map_arg
from torch.nn.parameter import is_lazy

FOLLOWING = {"dropout", "dropout1d", "dropout2d", "dropout3d"} | {
    "alpha_dropout",
    "feature_alpha_dropout",
}
"""Functions that may be given the mode."""
BY_MODE = "selfnorm: follows the mode"  # of a node's meta
ABSENT = "taken_as_none"  # by a rewritten `forward`: an attribute of its class


@dataclass(frozen=True)
class Traced:
    """The graph of one module's own `forward`, its children being single nodes.

    Attributes:
        graph: None if it could not be traced.
        why: Then, why not.
    """

    graph: fx.Graph | None
    why: str = ""


class _Shallow(fx.Tracer):
    """Children are leaves, whatever they are; `*args` and `**kwargs` are empty if named so."""

    def __init__(self, empty: Collection[str] = ()) -> None:
        super().__init__()
        self._empty = {f"*{name}" for name in empty} | {f"**{name}" for name in empty}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:  # noqa: ARG002
        return True

    def create_arg(self, a: Any) -> Any:
        if isinstance(a, dict) and type(a) not in {dict, immutable_dict}:
            raise TypeError(f"a graph would give a dictionary in place of {type(a).__name__}")
        return super().create_arg(a)

    def create_args_for_root(
        self, root_fn: Any, is_module: bool, concrete_args: Any = None
    ) -> tuple[Any, list[Any]]:
        function, args = super().create_args_for_root(root_fn, is_module, concrete_args)
        for place, one in enumerate(args):
            node = getattr(one, "node", None)
            if isinstance(node, fx.Node) and str(node.target) in self._empty:
                args[place] = {} if str(node.target).startswith("**") else ()
                self.graph.erase_node(node)
        return function, args


def children_of(module: nn.Module) -> dict[str, nn.Module | None]:
    """Names and children of a module; `named_children` leaves out the second name of a child."""
    return vars(module)["_modules"]


def is_library(module: nn.Module) -> bool:
    """Whether its `forward` is torch's or ours; a scripted one is torch's altogether."""
    return _home_of(module).startswith(("torch.", "selfnorm.nn"))


def _home_of(module: nn.Module) -> str:
    """Name of the Python module that its class's `forward` stands in."""
    if isinstance(module, torch.jit.ScriptModule):
        return torch.jit.__name__
    home = inspect.getmodule(type(module).forward)
    return "" if home is None else home.__name__


def is_patched(module: nn.Module) -> bool:
    """Whether a `forward` was put on the object, so that its class does not tell what it does."""
    return "forward" in vars(module)


def is_hooked(module: nn.Module) -> bool:
    """Whether something beside its `forward` sees or changes what goes in and out."""
    return any(vars(module)[f"_forward{kind}_hooks"] for kind in ("", "_pre"))


def is_closed(module: nn.Module) -> bool:
    """Whether it is torch's and has parts that its own `forward` calls, as a transformer's layer.

    What stands in it cannot be exchanged one by one: the `forward` counts on it.
    """
    if isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict):
        return False
    scripted = isinstance(module, torch.jit.ScriptModule)
    parts = scripted or any(True for _ in module.children())
    return parts and _home_of(module).startswith("torch.")


def trace(module: nn.Module, absent: Collection[str] = ()) -> Traced:
    """Trace a `forward`, if what it does depends on neither values, the mode, nor what is None.

    Args:
        module: The module.
        absent: Arguments that are taken to be None; the traced `forward` refuses them otherwise.
    """
    absent = {*absent, *getattr(type(module), ABSENT, ())}
    several = {name for name in absent if _is_several(module, name)}
    fixed = dict.fromkeys(set(absent) - several)
    optional = [name for name in _optional(module) if name not in fixed]
    mode, before = module.training, dict(vars(module))
    held = [(b, b.clone()) for b in module.buffers(recurse=False) if not is_lazy(b)]
    kept: list[str] = []
    try:
        module.training = True
        graph = _Shallow(several).trace(module, fixed)
        module.training = False
        other = _Shallow(several).trace(module, fixed)
        nothing = dict.fromkeys(optional)
        without = _Shallow(several).trace(module, fixed | nothing) if optional else None
    except Exception as error:
        told = str(error).strip().splitlines() or [""]
        return Traced(None, f"torch.fx cannot trace it, {type(error).__name__}: {told[0][:100]}")
    finally:
        module.training = mode
        kept += _put_back(module, before)
        for buffer, value in held:  # no proxies: a count of batches goes on in a trace
            buffer.copy_(value)
    _name_arguments(module, graph)
    named = any(node.op == "call_module" and _is_hidden(module, node) for node in graph.nodes)
    made = any(str(node.target).startswith("_tensor_constant") for node in graph.nodes)
    by_mode = _signatures(graph) != _signatures(other) or not _mark_by_mode(graph, other)
    handed_on = _signatures(graph, optional)  # what only goes to others may be None
    reasons = {
        f"it keeps what it computes, as {', '.join(kept[:1])}": bool(kept),
        "one of its parts has the name of a method": named,
        "it does other things in training than in evaluation": by_mode,
        f"it does other things where {', '.join(optional)} is None": without is not None
        and _signatures(without) != handed_on,
        "it makes tensors of its own": made,
    }
    why = next((reason for reason, holds in reasons.items() if holds), None)
    return Traced(graph) if why is None else Traced(None, why)


def _name_arguments(module: nn.Module, graph: fx.Graph) -> None:
    """Give arguments that were traced as None their own names again."""
    for name, node in zip(
        inspect.signature(module.forward).parameters,
        (node for node in graph.nodes if node.op == "placeholder"),
        strict=False,
    ):
        if str(node.target).rpartition("_")[0] == name:
            node.target = name


def _put_back(module: nn.Module, before: dict[str, object]) -> list[str]:
    """Undo what tracing wrote on a module; the names that its own `forward` wrote."""
    own, found = vars(module), list[str]()
    for name in list(own):
        if name in before and own[name] is not before[name]:
            own[name] = before[name]
            found.append(name)
        elif name not in before:
            del own[name]
            if not name.startswith("_tensor_constant"):
                found.append(name)
    return [name for name in found if name != "training"]


def _is_hidden(module: nn.Module, node: fx.Node) -> bool:
    """Whether code that names a child would find an attribute of its class."""
    return hasattr(type(module), str(node.target).split(".", maxsplit=1)[0])


def _mark_by_mode(graph: fx.Graph, other: fx.Graph) -> bool:
    """Mark nodes that are given the mode; whether all of them may be."""
    for node, same in zip(graph.nodes, other.nodes, strict=True):
        node.meta[BY_MODE] = str((node.args, node.kwargs)) != str((same.args, same.kwargs))
        if node.meta[BY_MODE] and getattr(node.target, "__name__", "") not in FOLLOWING:
            return False
    return True


def _signatures(graph: fx.Graph, absent: Collection[str] = ()) -> list[tuple[object, ...]]:
    """What the nodes of a graph do, where these arguments are None."""

    def given(node: fx.Node) -> fx.Node | None:
        return None if node.op == "placeholder" and node.target in absent else node

    return [_signature(node, given) for node in graph.nodes if not _is_argument(node)]


def _optional(module: nn.Module) -> list[str]:
    """Arguments of a `forward` that are None if nobody gives them."""
    named = inspect.signature(module.forward).parameters.values()
    return [one.name for one in named if one.default is None]


def _is_several(module: nn.Module, name: str) -> bool:
    """Whether a name stands for any number of arguments."""
    kind = inspect.signature(module.forward).parameters[name].kind
    return kind in {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}


def _is_argument(node: fx.Node) -> bool:
    """Whether a node stands for an argument, or for the check that one is None."""
    return node.op == "placeholder" or is_check(node)


def is_check(node: fx.Node) -> bool:
    """Whether a node raises unless an argument is None."""
    return "_assert_is_none" in str(getattr(node.target, "__name__", ""))


def _signature(node: fx.Node, given: Callable[[fx.Node], fx.Node | None]) -> tuple[object, ...]:
    """What a node does, but for the `training` that a functional dropout is given."""
    args: tuple[Any, ...] = cast("Any", map_arg(node.args, given))
    kwargs = map_arg(node.kwargs, given)
    if "dropout" in str(node.target):
        return (node.op, str(node.target), str(args[:2]))
    return (node.op, str(node.target), str(args), str(kwargs))


def pairs(model: nn.Module, traces: Mapping[str, Traced]) -> Iterator[tuple[str, str]]:
    """Names of modules of which the second alone reads the first, and reads nothing else.

    Both run once in a pass, as far as that is known.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    shared = Counter(id(module) for module in modules.values())
    for path, module in modules.items():
        for first, second in _children_pairs(module, traces.get(path)):
            names = join(path, first), join(path, second)
            last = end_of(names[0], modules, -1)
            following = end_of(names[1], modules, 0)
            if last is None or following is None:
                continue
            if shared[id(modules[last])] == 1 and shared[id(modules[following])] == 1:
                yield last, following


def _children_pairs(module: nn.Module, traced: Traced | None) -> Iterator[tuple[str, str]]:
    if isinstance(module, nn.Sequential) and is_library(module):
        names = list(children_of(module))
        if len({id(child) for child in module}) == len(names):
            yield from itertools.pairwise(names)
    elif traced is not None and traced.graph is not None:
        calls = [node for node in traced.graph.nodes if node.op == "call_module"]
        times = Counter(str(node.target) for node in calls)
        for node in calls:
            source = node.args[0] if len(node.args) == 1 and not node.kwargs else None
            if not isinstance(source, fx.Node) or source.op != "call_module":
                continue
            if len(source.users) == 1 and times[str(source.target)] == times[str(node.target)] == 1:
                yield str(source.target), str(node.target)


def end_of(name: str, modules: dict[str, nn.Module], place: int) -> str | None:
    """The first or last module inside nested `Sequential`s."""
    while isinstance(modules[name], nn.Sequential):
        children = list(children_of(modules[name]))
        if not children or not is_library(modules[name]):
            return None
        name = join(name, children[place])
    return name


def join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
