"""Which layer alone reads an output, if nothing but what a positive factor passes lies between.

Stricter than `_flow.pairs`: a `Sequential` is a chain only where its `forward` is known to be all
that calls its children. An output that is read in any other way is not here. And where a `forward`
cannot be traced, nothing is here: it could use any part of the model.
"""

import itertools
from collections import Counter
from collections.abc import Iterator

from torch import fx, nn

from selfnorm.converting._flow import (
    children_of,
    end_of,
    is_hooked,
    is_library,
    is_patched,
    join,
    trace,
)
from selfnorm.converting._functional import carries_values, function_name

# f(c x) = c f(x) for c > 0. Dropout, too: it is the identity, or linear given its mask.
HOMOGENEOUS = (
    nn.Identity, nn.Flatten, nn.Unflatten,
    nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d,
    nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d,
    nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d,
    nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d,
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d,
)  # fmt: skip
_FUNCTIONS = frozenset({
    "flatten", "unflatten", "reshape", "view", "squeeze", "unsqueeze", "permute", "transpose",
    "contiguous", "mean", "dropout", "dropout1d", "dropout2d", "dropout3d",
    "max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d",
    "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d",
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d",
})  # fmt: skip


def readers(model: nn.Module) -> dict[str, str]:
    """Names of modules, and of the one that alone reads what each gives or a pool makes of it."""
    modules = dict(model.named_modules(remove_duplicate=False))
    graphs = _graphs(modules)
    if graphs is None:
        return {}
    times = Counter(id(module) for module in modules.values())
    nearest = {
        first: second
        for first, second in _links(modules, graphs, "")
        if times[id(modules[first])] == times[id(modules[second])] == 1
        and not (_is_hooked(modules, first) or _is_hooked(modules, second))
    }
    return {first: _through(nearest, modules, second) for first, second in nearest.items()}


def _graphs(modules: dict[str, nn.Module]) -> dict[str, fx.Graph] | None:
    """What each `forward` of the model's own does; None if one may use any part of the model.

    Which reads a parameter or a module that it has not registered cannot be traced, either.
    """
    graphs: dict[str, fx.Graph] = {}
    for path, module in modules.items():
        if is_patched(module):
            return None
        if is_library(module):
            continue
        graph = trace(module).graph
        if graph is None:
            return None
        graphs[path] = graph
    return graphs


def _through(nearest: dict[str, str], modules: dict[str, nn.Module], name: str) -> str:
    while type(modules[name]) in HOMOGENEOUS and name in nearest:
        name = nearest[name]
    return name


def _is_hooked(modules: dict[str, nn.Module], name: str) -> bool:
    """Whether something beside its `forward` sees or changes what it, or what holds it, gives."""
    while name:
        if is_hooked(modules[name]):
            return True
        name = name.rpartition(".")[0]
    return False


def _links(
    modules: dict[str, nn.Module], graphs: dict[str, fx.Graph], path: str
) -> Iterator[tuple[str, str]]:
    """Of a module that is known to run as a whole: which part of it reads which."""
    module = modules[path]
    if isinstance(module, nn.Sequential) and is_library(module):
        names = [join(path, name) for name in children_of(module)]
        between, inside = list(itertools.pairwise(names)), names
    elif path in graphs:
        between, inside = _in_graph(graphs[path], path)
    else:
        return
    for first, second in between:
        last, following = end_of(first, modules, -1), end_of(second, modules, 0)
        if last is not None and following is not None:
            yield last, following
    for name in inside:
        yield from _links(modules, graphs, name)


def _in_graph(graph: fx.Graph, path: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Pairs of children that are called once, and the children that are called only whole."""
    uses = Counter(str(n.target) for n in graph.nodes if n.op in {"call_module", "get_attr"})
    calls = [node for node in graph.nodes if node.op == "call_module"]
    whole = {
        str(node.target)
        for node in calls
        if not any(other.startswith(f"{node.target}.") for other in uses)
    }
    between = [
        (str(node.target), str(reader.target))
        for node in calls
        if (reader := _reader(node)) is not None
        and {str(node.target), str(reader.target)} <= whole
        and uses[str(node.target)] == uses[str(reader.target)] == 1
    ]
    return [(join(path, a), join(path, b)) for a, b in between], [join(path, n) for n in whole]


def _reader(node: fx.Node) -> fx.Node | None:
    """The one call of a module that reads a node's values."""
    while True:
        using = [user for user in node.users if carries_values(user)]
        if len(using) != 1:
            return None
        (user,) = using
        others = [a for a in user.all_input_nodes if a is not node and carries_values(a)]
        if others or not user.args or user.args[0] is not node:
            return None
        if user.op == "call_module":
            return user if len(user.args) == 1 and not user.kwargs else None
        if function_name(user) not in _FUNCTIONS:
            return None
        node = user
