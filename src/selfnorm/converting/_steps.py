"""The steps of a conversion, each on its own kind of module."""

from collections.abc import Callable, Iterator
from typing import Any, cast

from torch import fx, nn

from selfnorm.converting import _functional, _norms
from selfnorm.converting._flow import Traced, pairs
from selfnorm.converting._modules import (
    ACTIVATIONS,
    ALPHA_DROPOUTS,
    OTHERS,
    PLAIN_DROPOUTS,
    WEIGHTED,
    affordable,
    new_dropout,
    new_selu,
)
from selfnorm.converting._work import Work
from selfnorm.init._distributions import Draw
from selfnorm.init._model import initialized
from selfnorm.nn import SELU, SELUAlphaDropout

_USUAL = {
    *("eps=1e-05", "momentum=0.1", "affine=True", "bias=True", "track_running_stats=True"),
    *("inplace=False", "elementwise_affine=True"),
}
_MULTIPLYING = {"linear", "matmul", "conv2d", "conv1d"}


def convert_norms(work: Work, traces: dict[str, Traced], *, fold: bool) -> None:
    """Fold or remove normalization layers."""
    before = {second: first for first, second in pairs(work.model, traces)}
    for name, norm in work.modules():
        if not isinstance(norm, _norms.NORMS) or not _is_live(work.model, name):
            continue
        first = before.get(name)
        layer = work.model.get_submodule(first) if first is not None else None
        if fold and layer is not None and _norms.can_fold(layer, norm):
            had_bias = "bias" in dict(layer.named_parameters(recurse=False))
            _norms.fold(layer, norm)
            also = "" if had_bias else ", which got a bias"
            why = f"a part of {first}{also}: equal in evaluation"
            work.say(name, "folded", _kind(norm), "Identity()", why)
        else:
            why = "SELU keeps mean and variance by itself"
            if fold and isinstance(norm, _norms.BATCH):
                why += "; nothing directly before it that it could be folded into"
            work.say(name, "removed", _kind(norm), "Identity()", why)
        work.put(nn.Identity(), norm)


def convert_activations(work: Work, traces: dict[str, Traced]) -> None:
    """Put SELU where weights follow; name what is left."""
    done: set[int] = set()
    gates = _gates(traces)
    for name, module in work.modules():
        if id(module) in done:
            continue
        done.add(id(module))
        if type(module) is nn.SELU and module.inplace:
            why = "in half precision torch's in place passes gradients where it saturates"
            work.put(new_selu(), module)
            work.say(name, "replaced", _kind(module), "selfnorm.nn.SELU()", why)
        elif isinstance(module, work.kinds) and not isinstance(module, nn.SELU):
            if name in gates:
                work.say(name, "left", _kind(module), "", "it is a gate: its output is multiplied")
            elif any(work.hidden(n) for n in work.names(module)):
                work.put(new_selu(), module)
                work.say(name, "replaced", _kind(module), "SELU()", "its fixed point is (0, 1)")
            else:
                work.say(
                    name, "left", _kind(module), "", "it is the output's, which keeps its range"
                )
        elif isinstance(module, OTHERS) and any(work.hidden(n) for n in work.names(module)):
            why = "a gate or an output, which SELU does not stand for; name it in activations"
            work.say(name, "left", _kind(module), "", why)


def convert_dropout(work: Work, depth: int, *, alpha: bool) -> None:
    """Put alpha dropout, within the budget of the depth; or remove what is plain."""
    done: set[int] = set()
    for name, module in work.modules():
        plain = isinstance(module, PLAIN_DROPOUTS)
        if id(module) in done or not (plain or isinstance(module, ALPHA_DROPOUTS)):
            continue
        done.add(id(module))
        p = float(cast("Any", module).p)
        if not alpha:
            if plain:
                work.put(nn.Identity(), module)
                work.say(name, "removed", _kind(module), "Identity()", "dropout='remove'")
            continue
        limited = affordable(p, depth)
        why = "keeps mean 0 and variance 1"
        if limited < p:
            why += (
                f"; {depth} SELU layers afford p = {limited:g}, which leaves a tenth of gradients"
            )
        if plain:
            new = new_dropout(module, limited)
            work.put(new, module)
            work.say(name, "replaced", _kind(module), _kind(new), why)
        elif limited < p:
            old = _kind(module)
            cast("Any", module).p = limited
            work.say(name, "replaced", old, _kind(module), why.split("; ", maxsplit=1)[1])


def fuse(work: Work, traces: dict[str, Traced]) -> None:
    """Make one module of SELU and the alpha dropout behind it."""
    for first, second in list(pairs(work.model, traces)):
        if not (work.chosen(first) and work.chosen(second)):
            continue
        selu, drop = work.model.get_submodule(first), work.model.get_submodule(second)
        if isinstance(selu, nn.SELU) and isinstance(drop, nn.AlphaDropout):
            fused = SELUAlphaDropout(drop.p, inplace=selu.inplace)
            if isinstance(selu, SELU):
                fused.form, fused.depth, fused.growth = selu.form, selu.depth, selu.growth
            work.put(fused, selu)
            work.put(nn.Identity(), drop)
            before = f"{_kind(selu)}, {_kind(drop)} at {second}"
            work.say(first, "fused", before, _kind(fused), "one pass, and no mask is kept")


def rewrites(work: Work, traces: dict[str, Traced], dropout: str) -> Iterator[_functional.Rewrite]:
    """What there is to do in the forwards that could be traced; the others are named."""
    for name, traced in traces.items():
        if not work.chosen(name):
            continue
        module = work.model.get_submodule(name)
        if traced.graph is None:
            work.say(
                name, "left", f"forward of {type(module).__name__}", "",
                f"torch.fx cannot trace it ({traced.why}): activations called as functions, and "
                "residual additions, are as they were",
            )  # fmt: skip
            continue
        found = _functional.find(
            name, module, traced.graph, _hidden(work, name, module, traced.graph)
        )
        for node, why in found.left:
            work.say(name, "left", f"{_functional.function_name(node)}()", "", why)
        if work.kinds is not ACTIVATIONS:
            wanted = {kind.__name__.lower() for kind in work.kinds}
            found.activations = [
                n for n in found.activations
                if _functional.function_name(n).replace("_", "") in wanted
            ]  # fmt: skip
        if not work.kinds:  # no activation is to become SELU: there is nothing to scale for
            found.additions = []
        if dropout != "alpha":
            found.dropouts = []
        if found:
            yield found


def _hidden(work: Work, name: str, module: nn.Module, graph: fx.Graph) -> Callable[[fx.Node], bool]:
    """Whether weights follow a node: in this forward, or in the model after this module."""
    before = set[fx.Node]()  # of weights, however far
    for node in reversed(graph.nodes):
        weighs = node in before or _functional.function_name(node) in _MULTIPLYING
        if node.op == "call_module":
            weighs = weighs or _contains_weights(module.get_submodule(str(node.target)))
        if weighs:
            before.update(node.all_input_nodes)
    follow = bool(name) and work.last.get(name, len(work.order)) < work.weighted
    return lambda node: node in before or follow


def _gates(traces: dict[str, Traced]) -> set[str]:
    """Names of modules whose output a traced forward multiplies with another."""
    found: set[str] = set()
    for path, traced in traces.items():
        for node in traced.graph.nodes if traced.graph is not None else ():
            if node.op == "call_module" and _functional.is_gate(node):
                found.add(f"{path}.{node.target}" if path else str(node.target))
    return found


def initialize(work: Work, init: str) -> None:
    """Draw the weights of what is converted; name what is not known."""
    unwanted = [
        name
        for name, module in work.model.named_modules()
        if not work.chosen(name) and any(True for _ in module.parameters(recurse=False))
    ]
    distribution = "normal" if init == "lecun_normal" else "uniform"
    for shortcoming in initialized(work.model, Draw(distribution), unwanted):
        work.say("", "left", "parameters", "", shortcoming)
    count = sum(isinstance(m, WEIGHTED) for n, m in work.model.named_modules() if work.chosen(n))
    if count:
        why = "variance 1/fan_in, biases 0; init=None keeps trained weights"
        work.say("", "initialized", f"{count} layers as they were", f"{init} weights", why)


def depth(model: nn.Module) -> int:
    """How many SELU modules there are."""
    return sum(isinstance(m, nn.SELU | SELUAlphaDropout) for m in model.modules())


def _is_live(model: nn.Module, name: str) -> bool:
    """Whether there is a module of that name still."""
    try:
        model.get_submodule(name)
    except AttributeError:
        return False
    return True


def _contains_weights(module: nn.Module) -> bool:
    return any(isinstance(part, WEIGHTED) for part in module.modules())


def _kind(module: nn.Module) -> str:
    """As `print` shows it, in one line, without what seldom differs."""
    said = [part for part in module.extra_repr().split(", ") if part not in _USUAL]
    return f"{type(module).__name__}({', '.join(said)})"
