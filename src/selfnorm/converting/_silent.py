"""Branches that start near zero by design: a layer scale, a last layer or a norm's scale of zeros.

A sum with such a branch has the variance of the other one: it is not to be scaled.
"""

import torch
from torch import Tensor, fx, nn

from selfnorm.converting import _probe
from selfnorm.converting._flow import children_of, is_library, join
from selfnorm.converting._functional import (
    ADDITIONS,
    DROPOUT_FUNCTIONS,
    MOVING,
    TIMES,
    function_name,
)
from selfnorm.converting._modules import PASSING, PLAIN_DROPOUTS, SELUS, WEIGHTED
from selfnorm.converting._norms import NORMS
from selfnorm.converting._work import Work

NEARLY_ZERO = 0.05
"""Of what would be usual: LeCun's deviation, or a scale of 1."""
_HANDING_ON = MOVING | DROPOUT_FUNCTIONS | {"getitem", "chunk", "split", "contiguous"}


class Silent:
    """What gives nearly nothing.

    Args:
        work: The conversion; layers whose weights stay near zero are known.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._traces = work.context.traces
        self._found: dict[tuple[str, bool], set[fx.Node]] = {}

    def nodes(self, path: str, *, given: bool = False) -> set[fx.Node]:
        """The nodes in the traced `forward` of a module that do; `given` of what that is given."""
        graph = self._traces[path].graph
        if (path, given) not in self._found:
            found = self._found[path, given] = set[fx.Node]()
            for node in graph.nodes if graph is not None else ():
                if self._is_silent(path, node, found, given):
                    found.add(node)
        return self._found[path, given]

    def _is_silent(self, path: str, node: fx.Node, before: set[fx.Node], given: bool) -> bool:
        if node.op == "placeholder":
            return given
        if node.op == "get_attr":
            return _is_small(self._attribute(path, str(node.target)))
        read = [one in before for one in node.all_input_nodes]
        if node.op == "call_module":
            return self._module(join(path, str(node.target)), bool(read) and read[0])
        if node.target in TIMES:
            return read[0] if "div" in function_name(node) else any(read)
        if node.target in ADDITIONS:
            return bool(read) and all(read)
        return function_name(node) in _HANDING_ON and bool(read) and read[0]

    def _module(self, name: str, given: bool) -> bool:
        module = self._work.module(name)
        graph = self._traces[name].graph if name in self._traces else None
        if isinstance(module, nn.Sequential) and is_library(module):
            for child in children_of(module):
                given = self._module(join(name, child), given)
        elif module is None or name in self._work.silent:
            given = module is not None
        elif graph is not None:
            result = next(node for node in graph.nodes if node.op == "output").args[0]
            given = result in self.nodes(name, given=given)
        elif isinstance(module, NORMS):
            given = _is_small(module.weight)
        elif not is_library(module) and _probe.silences(module, NEARLY_ZERO):
            given = True
        elif not isinstance(module, (*WEIGHTED, *SELUS)):
            given = given and self._hands_on(module)
        return given

    def _hands_on(self, module: nn.Module) -> bool:
        """Whether a module gives nearly nothing where it is given nearly nothing."""
        if isinstance(module, (*PASSING, *PLAIN_DROPOUTS)):
            return True
        held = any(True for _ in module.parameters()) or any(True for _ in module.children())
        return not held and not is_library(module) and _probe.keeps_zero(module)

    def _attribute(self, path: str, name: str) -> object:
        found: object = self._work.module(path)
        for part in name.split("."):
            found = getattr(found, part, None)
        return found


@torch.no_grad()
def _is_small(value: object) -> bool:
    if not isinstance(value, Tensor) or value.is_meta or not value.is_floating_point():
        return False
    return bool(value.square().mean().sqrt() < NEARLY_ZERO)
