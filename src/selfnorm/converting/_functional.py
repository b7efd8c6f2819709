"""A `forward` rewritten: functional activations, dropout and residual additions."""

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import fx, nn

from selfnorm.converting._changes import Change
from selfnorm.converting._flow import BY_MODE
from selfnorm.converting._modules import (
    DROPOUT_FUNCTIONS,
    FUNCTIONS,
    GATES,
    affordable,
    new_dropout,
    new_selu,
)
from selfnorm.converting._rewritten import rewrite as rewrite_forward
from selfnorm.nn import AlphaDropout, FeatureAlphaDropout

ADDITIONS = {operator.add, operator.iadd, torch.add, "add", "add_"}
TIMES = {operator.mul, operator.imul, operator.truediv, torch.mul, torch.div, "mul", "mul_", "div"}
_SIZES = {"size", "dim", "numel", "stride", "shape", "ndim", "device", "dtype", "len"}
_BOUNDS: dict[str, str] = {
    **dict.fromkeys(("sigmoid", "hardsigmoid", "softmax"), "gate"),
    **dict.fromkeys(("tanh", "hardtanh", "softsign"), "sign"),
}
_READING = {"matmul", "bmm", "linear", "conv1d", "conv2d", "conv3d"}
_DROPOUTS: dict[str, Callable[[float], nn.Module]] = {
    "dropout": nn.Dropout,
    "dropout1d": nn.Dropout1d,
    "dropout2d": nn.Dropout2d,
    "dropout3d": nn.Dropout3d,
    "alpha_dropout": AlphaDropout,
    "feature_alpha_dropout": FeatureAlphaDropout,
}
MOVING = {"view", "reshape", "flatten", "unsqueeze", "squeeze", "permute", "transpose", "clone"}
_HALF = 0.5**0.5
_SILENT_SUM = "one branch starts near zero by design: the sum has the variance of the other"
_UNKNOWN_SUM = "a sum with what the module is given, which may be a branch or not: pass an example"


@dataclass
class Rewrite:
    """What there is to change in one graph.

    Attributes:
        path: Qualified name of the module.
        module: The module whose forward it is.
        graph: Its graph.
        activations: Calls to replace by SELU.
        dropouts: Calls to replace by alpha dropout.
        additions: Sums of two branches to scale.
        left: Calls that stay, and why.
    """

    path: str
    module: nn.Module
    graph: fx.Graph
    activations: list[fx.Node] = field(default_factory=list[fx.Node])
    dropouts: list[fx.Node] = field(default_factory=list[fx.Node])
    additions: list[fx.Node] = field(default_factory=list[fx.Node])
    left: list[tuple[fx.Node, str]] = field(default_factory=list[tuple[fx.Node, str]])

    def __bool__(self) -> bool:
        return bool(self.activations or self.dropouts or self.additions)


def function_name(node: fx.Node) -> str:
    """The plain name of the function or method that a node calls; "" for other nodes."""
    if node.op == "call_method":
        return str(node.target).strip("_")
    if node.op == "call_function":
        return getattr(node.target, "__name__", "").strip("_")
    return ""


@dataclass(frozen=True)
class Known:
    """What is known of a graph's nodes.

    Attributes:
        hidden: Whether weights follow a node.
        source: Whether a node gives what a SELU gives; or the node to ask instead.
        products: Which nodes are gates.
        given: Whether what the module is given, and adds to, are layers' outputs; None if unknown.
        silent: Nodes that give nearly nothing, by design.
    """

    hidden: Callable[[fx.Node], bool]
    source: Callable[[fx.Node], bool | fx.Node]
    products: "Products"
    given: bool | None
    silent: set[fx.Node]


def find(path: str, module: nn.Module, graph: fx.Graph, known: Known) -> Rewrite:
    """What of a module's graph is to be rewritten."""
    found = Rewrite(path, module, graph)
    place, computed = {node: at for at, node in enumerate(graph.nodes)}, _computed(graph)
    for node in graph.nodes:
        name = function_name(node)
        if name in FUNCTIONS:
            why = _why_left(node, known)
            found.activations += [node] if why is None else []
        elif name in GATES:
            why = "a gate or an output, which SELU does not stand for"
        elif name in DROPOUT_FUNCTIONS:
            why = _why_plain(node, found.activations, known)
            found.dropouts += [node] if why is None else []
        else:
            why = known.hidden(node) and _is_residual(node, place, computed, known.given)
            if why is True and known.silent.intersection(node.all_input_nodes):
                why = _SILENT_SUM
            found.additions += [node] if why is True else []
        if isinstance(why, str):
            found.left.append((node, why))
    return found


def unknown_sums(graph: fx.Graph, hidden: Callable[[fx.Node], bool]) -> list[fx.Node]:
    """Sums with weights behind them that may be of two branches or not, without an example."""
    place, computed = {node: at for at, node in enumerate(graph.nodes)}, _computed(graph)
    return [
        n
        for n in graph.nodes
        if hidden(n) and isinstance(_is_residual(n, place, computed, None), str)
    ]


def becoming(rewrites: list[Rewrite]) -> set[tuple[str, str]]:
    """Paths of modules, and activations of which every call in their `forward` becomes SELU."""
    found = {(one.path, function_name(node)) for one in rewrites for node in one.activations}
    stays = {(one.path, function_name(node)) for one in rewrites for node, _ in one.left}
    return found - stays


def _why_left(node: fx.Node, known: Known) -> str | None:
    """Why an activation is to stay; None if it is not."""
    if known.products.gate(node):
        return "it is a gate: its output is multiplied"
    return None if known.hidden(node) else "it is the output's, which keeps its range"


def _why_plain(node: fx.Node, activations: list[fx.Node], known: Known) -> str | None:
    """Why a dropout is to stay plain; None if it is not."""
    if not node.meta[BY_MODE]:
        return "it does not follow the mode: it is always on, or off"
    if _reads_selu(node, activations, known.source):
        return None
    return "alpha dropout belongs directly behind SELU"


def apply(rewrite: Rewrite, depth: int) -> list[Change]:
    """Rewrite the module's forward; its children and their names stay as they were."""
    module, graph, path = rewrite.module, rewrite.graph, rewrite.path
    new: dict[str, nn.Module] = {}
    names: dict[str, Iterator[str]] = {}
    changes: list[Change] = []

    def call(node: fx.Node, child: nn.Module, name: str) -> str:
        numbered = names.setdefault(name, _numbered(name))
        name = next(n for n in numbered if n not in new and not hasattr(module, n))
        new[name] = child.train(module.training)
        source = node.args[0] if node.args else next(iter(node.kwargs.values()))
        with graph.inserting_after(node):
            replacement = graph.call_module(name, (source,))
        node.replace_all_uses_with(replacement)
        graph.erase_node(node)
        return name

    for node in rewrite.activations:
        before = f"{function_name(node)}()"
        name = call(node, new_selu(), "selu")
        changes.append(
            Change(path, "replaced", before, f"SELU() as {name}", "its fixed point is (0, 1)")
        )
    for node in rewrite.dropouts:
        before, p = function_name(node), _probability(node)
        limited = affordable(p, depth)
        name = call(node, new_dropout(before, limited), "alpha_dropout")
        after, why = f"AlphaDropout({limited:g}) as {name}", "keeps mean 0 and variance 1"
        if limited < p:
            why += f"; {depth} SELU layers afford p = {limited:g}"
        changes.append(Change(path, "replaced", f"{before}({p:g})", after, why))
    for node in [n for n in graph.nodes if n.meta.get(BY_MODE) and n not in rewrite.dropouts]:
        kind = _DROPOUTS[function_name(node)]  # as a function it would be on for ever
        call(node, kind(_probability(node)), "dropout")
    for node in rewrite.additions:
        left, right = node.args[0], node.args[1]
        with graph.inserting_after(node):
            total = graph.call_function(torch.add, (left, right))
        with graph.inserting_after(total):
            scaled = graph.call_function(operator.mul, (total, _HALF))
        node.replace_all_uses_with(scaled)
        graph.erase_node(node)
        changes.append(
            Change(
                path,
                "scaled",
                f"{left} + {right}",
                f"sqrt(1/2) * ({left} + {right})",
                "independent variances add up",
            )
        )
    for name, child in new.items():
        module.add_module(name, child)
    graph.lint()
    rewrite_forward(module, graph)
    return changes


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}{number}"
        number += 1


def _probability(node: fx.Node) -> float:
    p = node.args[1] if len(node.args) > 1 else node.kwargs.get("p", 0.5)
    return float(p) if isinstance(p, int | float) else 0.5


class Products:
    """Which nodes of a graph are gates: multiplied with what another layer gives.

    A product with a mask that is given makes none. Nor does one with a sigmoid, which is the gate
    then, as in squeeze-and-excite; but of tanh times a sigmoid both are left.

    Args:
        graph: The graph.
        bounds: What a module that a node calls stays within: "gate" for [0, 1], "sign" for [-1, 1].
    """

    def __init__(self, graph: fx.Graph, bounds: Callable[[fx.Node], str]) -> None:
        self._computed = _computed(graph)
        self._bounds = bounds

    def gate(self, node: fx.Node) -> bool:
        """Whether a node is one."""
        return any(self._other_counts(user, node) for user in node.users)

    def _other_counts(self, user: fx.Node, node: fx.Node) -> bool:
        others = [a for a in user.args[:2] if isinstance(a, fx.Node) and a is not node]
        if user.target not in TIMES or not others or others[0] not in self._computed:
            return False
        return self._stays(others[0]) != "gate" or self._stays(node) == "sign"

    def _stays(self, node: fx.Node) -> str:
        """What a node, or what it moves, stays within."""
        while function_name(node) in MOVING and len(node.all_input_nodes) == 1:
            (node,) = node.all_input_nodes
        return _BOUNDS.get(function_name(node), "") or self._bounds(node)


def _reads_selu(
    node: fx.Node,
    activations: list[fx.Node],
    source: Callable[[fx.Node], bool | fx.Node],
) -> bool:
    """Whether what a node reads is a SELU's, or will be."""
    while len(node.all_input_nodes) == 1:
        (node,) = node.all_input_nodes
        if node in activations:
            return True
        if function_name(node) in MOVING:
            continue
        found = source(node)
        if isinstance(found, bool):
            return found
        if found in activations or source(found) is True:
            return True
        node = node if node.all_input_nodes else found
    return False


def _is_residual(
    node: fx.Node, place: dict[fx.Node, int], computed: set[fx.Node], given: bool | None
) -> bool | str:
    """Whether it is a sum of two branches of one stream, or of two layers, not scaled yet.

    Why it is not known, if it is not.
    """
    if node.target not in ADDITIONS or len(node.args) < 2 or node.kwargs.get("alpha", 1) != 1:
        return False
    branches = node.args[:2]
    if not all(isinstance(a, fx.Node) and carries_values(a) for a in branches):
        return False
    left, right = cast("tuple[fx.Node, fx.Node]", branches)
    one_stream = _reaches(left, right, place) or _reaches(right, left, place)
    unscaled = not any(map(_scales, (*node.users, *branches)))
    if not unscaled or _is_logit(node) or not {left, right} & computed:
        return False
    if one_stream or {left, right} <= computed or given:
        return True
    return False if given is False else _UNKNOWN_SUM


def _reaches(node: fx.Node, other: fx.Node, place: dict[fx.Node, int]) -> bool:
    """Whether a node's values come from another's."""
    waiting, seen = [node], set[fx.Node]()
    while waiting:
        node = waiting.pop()
        if node is other:
            return True
        if node not in seen and place[node] > place[other]:
            seen.add(node)
            waiting += filter(carries_values, node.all_input_nodes)
    return False


def _computed(graph: fx.Graph) -> set[fx.Node]:
    """Nodes whose values have come through a layer."""
    found = set[fx.Node]()
    for node in graph.nodes:
        if (
            node.op == "call_module"
            or function_name(node) in _READING
            or any(n in found for n in node.all_input_nodes)
        ):
            found.add(node)
    return found


def _is_logit(node: fx.Node) -> bool:
    """Whether a softmax or a sigmoid reads a sum before a layer does, as of attention's scores."""
    waiting, seen = list(node.users), set[fx.Node]()
    while waiting:
        user = waiting.pop()
        name = function_name(user)
        sums = user.target in ADDITIONS
        if user in seen or user.op in {"call_module", "output"} or name in _READING or sums:
            continue
        if name in {"softmax", "log_softmax", "sigmoid"}:
            return True
        seen.add(user)
        waiting += user.users
    return False


def _scales(node: object) -> bool:
    """Whether it multiplies by a number other than 1."""
    if not isinstance(node, fx.Node) or node.target not in TIMES:
        return False
    return any(not isinstance(factor, fx.Node) and factor != 1 for factor in node.args[:2])


def carries_values(node: object) -> bool:
    """Whether a node holds activations: neither a parameter nor a size."""
    if not isinstance(node, fx.Node) or node.op == "get_attr":
        return False
    if node.target is getattr:
        return str(node.args[1]) not in _SIZES
    if function_name(node) in _SIZES:
        return False
    if node.op == "call_function" and node.target is operator.getitem:
        return carries_values(node.args[0])
    return True
