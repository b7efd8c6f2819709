"""Where a module stands: what feeds it, and whether weights follow. By what is seen, or traced."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

from torch import fx, nn

from selfnorm.converting._flow import Traced, children_of, end_of, is_library, is_patched, join
from selfnorm.converting._functional import MOVING, carries_values, function_name
from selfnorm.converting._modules import contains_weights
from selfnorm.recording import Layer, Recording

_MULTIPLYING = {"linear", "matmul", "conv1d", "conv2d", "conv3d", "mm", "bmm", "baddbmm", "einsum"}


class Source(NamedTuple):
    """What a module reads: another module, a function by its name, or what the model is given.

    Of a function `path` is the module in whose `forward` it is called.
    """

    kind: Literal["module", "function", "input", "unknown"]
    name: str = ""
    path: str = ""


class _Call(NamedTuple):
    """A module's one call: in the graph of another, or in a row with others."""

    caller: str
    node: fx.Node | None
    before: str | None = None  # what stands in the row before it
    weighed: bool = False  # whether weights stand in the row behind it


@dataclass
class Context:
    """What is known of the way of activations through a model, before anything is changed.

    Attributes:
        modules: All of them, by all names.
        traces: The graphs of those with a `forward` of their own.
        late: Whether a layer with weights runs, or is defined, behind a module: where nothing
            better is known.
        seen: What a run on an example showed; None without one.
    """

    modules: dict[str, nn.Module]
    traces: Mapping[str, Traced]
    late: Callable[[str], bool]
    seen: Recording | None = None
    _hidden: dict[str, bool] = field(default_factory=dict[str, bool])

    def hidden(self, name: str) -> bool:
        """Whether weights follow a module, however far behind it."""
        if name not in self._hidden:
            self._hidden[name] = self._is_hidden(name)
        return self._hidden[name]

    def hidden_node(self, path: str, graph: fx.Graph) -> Callable[[fx.Node], bool]:
        """Whether weights follow a node of a module's graph: in it, or behind the module."""
        before, ending = self._before_weights(path, graph), _before_output(graph)
        behind = bool(path) and self.hidden(path)
        return lambda node: node in before or (behind and node in ending)

    def sums_branches(self, path: str) -> bool | None:
        """Whether sums in a module are of layers' outputs alone; None if that was not seen."""
        sums = [one for one in self._layers.get(path, ()) if one.module == path]
        sums = [one for one in sums if one.role == "addition"]
        if self.seen is None or not sums:
            return None
        return not any(self.seen.reads_input(one) for one in sums)

    def stands_for(self, new: str, old: str) -> None:
        """A module has come to stand in another's place, under a name of its own."""
        self._hidden[new] = self.hidden(old)

    def source(self, name: str) -> Source:
        """What a module reads; unknown if that is several."""
        if (found := self._seen_source(name)) is not None:
            return found
        call = self._calls.get(name)
        if call is None:
            return Source("unknown") if name else Source("input")
        if call.node is None:
            return Source("module", call.before) if call.before else self.source(call.caller)
        return self._node_source(call.caller, call.node)

    def _node_source(self, path: str, node: fx.Node) -> Source:
        given = [n for n in node.all_input_nodes if carries_values(n)]
        if len(given) != 1:
            return Source("unknown")
        (node,) = given
        if node.op == "placeholder":
            return self.source(path)
        if node.op == "call_module":
            last = end_of(join(path, str(node.target)), self.modules, -1)
            return Source("unknown") if last is None else Source("module", last)
        if function_name(node) in MOVING:
            return self._node_source(path, node)
        return Source("function", function_name(node), path)

    def _is_hidden(self, name: str) -> bool:
        if (layer := self._last_layer(name)) is not None and self.seen is not None:
            return self.seen.hidden(layer)
        call = self._calls.get(name)
        if call is None:
            return bool(name) and self.late(name)
        if call.node is None:
            return call.weighed or self.hidden(call.caller)
        graph = self.traces[call.caller].graph
        return graph is not None and self.hidden_node(call.caller, graph)(call.node)

    def _before_weights(self, path: str, graph: fx.Graph) -> set[fx.Node]:
        """Nodes behind which there are weights in the same graph."""
        before = set[fx.Node]()
        for node in reversed(graph.nodes):
            weighs = node in before or function_name(node) in _MULTIPLYING
            if node.op == "call_module":
                weighs = weighs or contains_weights(self.modules[join(path, str(node.target))])
            if weighs:
                before.update(node.all_input_nodes)
        return before

    # What a run has shown

    @cached_property
    def _layers(self) -> dict[str, list[Layer]]:
        found: dict[str, list[Layer]] = {}
        for layer in self.seen.layers if self.seen is not None else ():
            parts = layer.module.split(".") if layer.module else []
            for size in range(len(parts) + 1):
                found.setdefault(".".join(parts[:size]), []).append(layer)
        return found

    def _last_layer(self, name: str) -> Layer | None:
        """The last that a module, or a part of it, computes."""
        return max(self._layers.get(name, ()), key=lambda layer: layer.index, default=None)

    def _seen_source(self, name: str) -> Source | None:
        own = [layer for layer in self._layers.get(name, ()) if layer.module == name]
        if self.seen is None or not own:
            return None
        found: set[Source] = set()
        for layer in own:
            for source in self.seen.sources(layer):
                named = f"{source.kind}".endswith("()") or source.module not in self.modules
                function = source.name.rpartition(".")[2].split("(")[0]
                found.add(
                    Source("function", function, source.module)
                    if named
                    else Source("module", source.module)
                )
            if self.seen.reads_input(layer):
                found.add(Source("input"))
        return found.pop() if len(found) == 1 else Source("unknown")

    # What a trace tells

    @cached_property
    def _calls(self) -> dict[str, _Call]:
        """The call of each module that is called once, as far as that is known."""
        found: dict[str, list[_Call]] = {}
        for path, module in self.modules.items():
            for name, call in self._calls_in(path, module):
                found.setdefault(name, []).append(call)
        objects: dict[int, int] = {}
        for name, calls in found.items():
            key = id(self.modules[name])
            objects[key] = objects.get(key, 0) + len(calls)
        return {n: calls[0] for n, calls in found.items() if objects[id(self.modules[n])] == 1}

    def _calls_in(self, path: str, module: nn.Module) -> Iterator[tuple[str, _Call]]:
        if isinstance(module, nn.Sequential) and is_library(module) and not is_patched(module):
            names, weighed = [join(path, name) for name in children_of(module)], False
            for at, name in reversed(list(enumerate(names))):
                before = end_of(names[at - 1], self.modules, -1) if at else None
                yield name, _Call(path, None, before, weighed)
                weighed = weighed or contains_weights(self.modules[name])
        elif (traced := self.traces.get(path)) is not None and traced.graph is not None:
            for node in traced.graph.nodes:
                name = join(path, str(node.target))
                if node.op == "call_module" and name in self.modules:
                    yield name, _Call(path, node)


def _before_output(graph: fx.Graph) -> set[fx.Node]:
    """Nodes that the output depends on."""
    found = set[fx.Node]()
    for node in reversed(graph.nodes):
        if node.op == "output" or node in found:
            found.update(node.all_input_nodes)
    return found
