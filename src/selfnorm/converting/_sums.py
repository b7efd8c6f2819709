"""Sums that stay as they are: where nothing shows whether they are of branches.

Each of them may double the variance. A norm on their way takes that back, so it stays, too; and
where there is none, the layer before such a sum keeps the weights that it was built with. With an
example neither is needed: there weights are scaled to what the sums give.
"""

from torch import fx, nn

from selfnorm.converting import _functional
from selfnorm.converting._flow import join
from selfnorm.converting._looking import adds
from selfnorm.converting._modules import PASSING, PLAIN_DROPOUTS, WEIGHTED
from selfnorm.converting._norms import NORMS
from selfnorm.converting._work import Work

_HANDING_ON = (*PASSING, *PLAIN_DROPOUTS)


class Staying:
    """The sums of a conversion that nothing is known of; none where a run has shown them.

    Args:
        work: The conversion, of which nothing is changed yet.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._order = {n: at for at, (n, _) in enumerate(work.modules())}
        self._sums: dict[str, list[fx.Node]] = {}
        for path, traced in work.context.traces.items() if work.context.seen is None else ():
            module = work.context.modules[path]
            if path not in self._order or work.is_in_closed(path) or isinstance(module, NORMS):
                continue
            if traced.graph is None and adds(type(module)):
                self._sums[path] = []
            elif traced.graph is not None:
                hidden = work.context.hidden_node(path, traced.graph)
                if found := _functional.unknown_sums(traced.graph, hidden):
                    self._sums[path] = found

    def reach(self, name: str) -> bool:
        """Whether a module stands in a forward with such sums, or is defined behind one."""
        first = min((self._order[path] for path in self._sums), default=None)
        return first is not None and self._order.get(name, -1) > first

    def before(self) -> dict[str, str]:
        """Layers whose output such a sum adds to another, without a norm behind it; and why."""
        found: dict[str, str] = {}
        for path, sums in self._sums.items():
            for node in sums:
                if any(isinstance(self._called(path, user), NORMS) for user in node.users):
                    continue
                names = (self._layer(path, one) for one in node.all_input_nodes)
                found |= dict.fromkeys(filter(None, names), "a sum behind it stays as it is")
        return found

    def _layer(self, path: str, node: fx.Node) -> str | None:
        """The layer with weights that gives a node, past what only hands it on."""
        if not isinstance(module := self._called(path, node), _HANDING_ON):
            return join(path, str(node.target)) if isinstance(module, WEIGHTED) else None
        return self._layer(path, node.all_input_nodes[0])

    def _called(self, path: str, node: fx.Node) -> nn.Module | None:
        return self._work.module(join(path, str(node.target))) if node.op == "call_module" else None
