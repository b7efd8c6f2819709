"""The steps of a conversion, each on its own kind of module."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from torch import fx, nn

from selfnorm.converting import _functional, _norms, _probe
from selfnorm.converting._context import Source
from selfnorm.converting._flow import (
    is_closed,
    is_library,
    is_patched,
    join,
)
from selfnorm.converting._modules import (
    ACTIVATIONS,
    ALPHA_DROPOUTS,
    OTHERS,
    PASSING,
    PLAIN_DROPOUTS,
    SELU_FUNCTIONS,
    SELUS,
    WEIGHTED,
    affordable,
    kind_of,
    new_dropout,
    new_selu,
)
from selfnorm.converting._silent import Silent
from selfnorm.converting._sums import Staying
from selfnorm.converting._work import Work
from selfnorm.nn import SELU, SELUAlphaDropout


def name_closed(work: Work) -> None:
    """Leave what stands in torch's own blocks, whose `forward` counts on its parts."""
    for name, module in work.modules():
        if not is_closed(module) or work.is_in_closed(name):
            continue
        work.closed.add(name)
        parts = (*_norms.NORMS, *PLAIN_DROPOUTS, *ACTIVATIONS)
        if isinstance(module, torch.jit.ScriptModule):
            work.say(name, "left", kind_of(module), "", "compiled as it is: convert before that")
        elif any(isinstance(part, parts) for part in module.modules()):
            why = "torch's own forward counts on its parts: its activations and sums stay, too"
            work.say(name, "left", f"norms and dropout in {type(module).__name__}", "", why)


def convert_norms(work: Work, staying: Staying | None, *, drawn: bool) -> None:
    """Fold or remove normalization layers.

    Args:
        work: The conversion.
        staying: Sums that are as they were, and that keep norms; None if all are to be removed.
        drawn: Whether weights are drawn anew.
    """
    fold = staying is not None
    before = {second: first for first, second in work.pairs()}
    for name, norm in work.open_modules():
        if work.module(name) is not norm or not (row := _what_it_is(work, name, norm)):
            continue
        (parts,) = row
        instead = _norms.nothing_for(norm) if parts is None else parts
        if needed := work.lacks(instead, norm):
            work.say(name, "left", kind_of(norm), "", needed)
            continue
        first = before.get(name)
        layer = work.module(first) if first is not None else None
        after = "Identity()" if parts is None else ", ".join(map(kind_of, parts))
        foldable = fold and layer is not None and _norms.can_fold(layer, norm)
        if staying is not None and staying.reach(name) and (drawn or not foldable):
            why = "without it sums that stay would grow: pass an example, or norms='remove'"
            work.say(name, "left", kind_of(norm), "", why)
            continue
        if foldable and layer is not None:
            had_bias = "bias" in dict(layer.named_parameters(recurse=False))
            _norms.fold(layer, norm)
            also = "" if had_bias else ", which got a bias"
            what = "; its weights are drawn anew" if drawn else ": equal in evaluation"
            work.say(name, "folded", kind_of(norm), after, f"a part of {first}{also}{what}")
        else:
            why = "SELU keeps mean and variance by itself"
            if fold and isinstance(norm, _norms.BATCH):
                why += "; nothing directly before it that it could be folded into"
            work.say(name, "removed", kind_of(norm), after, why)
        work.put(instead, norm)
        for part, _ in parts.named_children() if parts is not None else ():
            work.context.stands_for(join(name, part), name)


def _what_it_is(work: Work, name: str, norm: nn.Module) -> tuple[nn.Sequential | None] | None:
    """Of a normalization what stands behind it in the same module; None for other modules."""
    own = not is_library(norm) or is_patched(norm)
    if not isinstance(norm, _norms.NORMS):
        return (None,) if own and _probe.normalizes(norm) else None
    if not own:
        return (None,)
    if (row := _probe.behind_norm(norm)) is not None:
        return (row if len(row) else None,)
    if _probe.normalizes(norm):
        return (None,)
    why = f"its forward is not torch's, and does more than to normalize ({type(norm).__name__})"
    work.say(name, "left", kind_of(norm), "", why)
    return None


def convert_activations(work: Work) -> None:
    """Put SELU where weights follow; name what is left."""
    done: set[int] = set()
    gates = _gates(work)
    for name, module in work.open_modules():
        if id(module) in done:
            continue
        done.add(id(module))
        kind = _kind_of_activation(work, module)
        hidden = any(work.context.hidden(n) for n in work.names(module)) if kind else False
        if type(module) is nn.SELU and module.inplace:
            why = "in half precision torch's in place passes gradients where it saturates"
            work.put(new_selu(), module)
            work.say(name, "replaced", kind_of(module), "selfnorm.nn.SELU()", why)
        elif kind == "activation" and name in gates:
            why = "it is a gate: its output is multiplied"
            work.say(name, "left", kind_of(module), "", why)
        elif kind == "activation" and hidden:
            work.put(new_selu(), module)
            work.say(name, "replaced", kind_of(module), "SELU()", "its fixed point is (0, 1)")
        elif kind == "activation":
            why = "it is the output's, which keeps its range"
            work.say(name, "left", kind_of(module), "", why)
        elif kind == "gate" and hidden:
            why = "a gate or an output, which SELU does not stand for; name it in activations"
            work.say(name, "left", kind_of(module), "", why)


def _kind_of_activation(work: Work, module: nn.Module) -> str | None:
    """`activation` for what is to become SELU, `gate` for other bends, None for all else."""
    if isinstance(module, (*SELUS, *WEIGHTED)):
        return None
    own = not is_library(module) or is_patched(module)
    if isinstance(module, work.kinds):
        usual = work.kinds is ACTIVATIONS and own  # else it was asked for
        return _probe.pointwise(module) if usual else "activation"
    if isinstance(module, OTHERS):
        return "gate"
    return _probe.pointwise(module) if own and work.kinds is ACTIVATIONS else None


def convert_dropout(work: Work, depth: int) -> None:
    """Put alpha dropout behind SELU, within the budget of the depth; name what stays plain."""
    behind = dict(work.pairs())
    for name, module in _dropouts(work):
        p = float(cast("Any", module).p)
        limited = affordable(p, depth)
        why, budget = "keeps mean 0 and variance 1", ""
        if limited < p:
            budget = (
                f"{depth} SELU layers afford p = {limited:g}, which leaves a tenth of gradients"
            )
            why += f"; {budget}"
        selu = work.module(behind.get(name, name))
        if isinstance(module, ALPHA_DROPOUTS):
            if budget:
                old = kind_of(module)
                cast("Any", module).p = limited
                work.say(name, "replaced", old, kind_of(module), budget)
        elif all(work.is_selu(work.source(n)) for n in work.names(module)):
            new = new_dropout(module, limited)
            work.put(new, module)
            work.say(name, "replaced", kind_of(module), kind_of(new), why)
        elif needed := work.lacks(nn.Identity(), module):
            work.say(name, "left", kind_of(module), "", needed)
        elif isinstance(selu, nn.SELU) and type(module) is nn.Dropout:
            moved = _with_dropout(selu, limited)
            work.put(moved, selu)
            work.put(nn.Identity(), module)
            why = f"it goes behind the activation, to {behind[name]}: there it {why}"
            work.say(name, "replaced", kind_of(module), kind_of(moved), why)
        else:
            work.say(name, "left", kind_of(module), "", _why_plain(work.source(name)))


def remove_dropout(work: Work) -> None:
    """Take plain dropout away."""
    for name, module in _dropouts(work):
        if isinstance(module, ALPHA_DROPOUTS):
            continue
        if needed := work.lacks(nn.Identity(), module):
            work.say(name, "left", kind_of(module), "", needed)
            continue
        work.put(nn.Identity(), module)
        work.say(name, "removed", kind_of(module), "Identity()", "dropout='remove'")


def _dropouts(work: Work) -> Iterator[tuple[str, nn.Module]]:
    """Each dropout once; those that do more than torch's are named and stay."""
    done: set[int] = set()
    for name, module in work.open_modules():
        if id(module) in done or not isinstance(module, (*PLAIN_DROPOUTS, *ALPHA_DROPOUTS)):
            continue
        done.add(id(module))
        if is_library(module) and not is_patched(module):
            yield name, module
        else:
            why = "its forward is not torch's: it may be on in evaluation"
            work.say(name, "left", kind_of(module), "", why)


def _why_plain(source: Source) -> str:
    if source.kind == "unknown":
        return "what it reads is not known, or several; alpha dropout belongs directly behind SELU"
    what = {"input": "what the model is given", "function": f"{source.name}()"}.get(
        source.kind, source.name
    )
    return f"it reads {what}; alpha dropout belongs directly behind SELU"


def fuse(work: Work) -> None:
    """Make one module of SELU and the alpha dropout behind it."""
    for first, second in list(work.pairs()):
        if not (work.chosen(first) and work.chosen(second)):
            continue
        selu, drop = work.module(first), work.module(second)
        if isinstance(selu, nn.SELU) and isinstance(drop, nn.AlphaDropout):
            if work.lacks(nn.Identity(), drop):
                continue
            fused = _with_dropout(selu, drop.p)
            work.put(fused, selu)
            work.put(nn.Identity(), drop)
            before = f"{kind_of(selu)}, {kind_of(drop)} at {second}"
            work.say(first, "fused", before, kind_of(fused), "one pass, and no mask is kept")


def _with_dropout(selu: nn.SELU, p: float) -> SELUAlphaDropout:
    """SELU, in its form, and alpha dropout as one module."""
    fused = SELUAlphaDropout(p, inplace=selu.inplace)
    if isinstance(selu, SELU):
        fused.form, fused.depth, fused.growth = selu.form, selu.depth, selu.growth
    return fused


def rewrites(work: Work, dropout: str) -> Iterator[_functional.Rewrite]:
    """What there is to do in the forwards that could be traced; the others are named."""
    silent = Silent(work)
    for name, traced in work.context.traces.items():
        module = work.module(name)
        if module is not work.context.modules[name] or module is None:  # another stands there now
            continue
        if not work.chosen(name) or work.is_in_closed(name):
            continue
        if traced.graph is None:
            work.say(
                name, "left", f"forward of {type(module).__name__}", "",
                f"it cannot be rewritten ({traced.why}): activations called as functions, and "
                "residual additions, are as they were",
            )  # fmt: skip
            continue
        known = _functional.Known(
            work.context.hidden_node(name, traced.graph),
            _source_of(work, name),
            _functional.Products(traced.graph, _bounds_in(work, name)),
            work.context.sums_branches(name),
            silent.nodes(name),
        )
        found = _functional.find(name, module, traced.graph, known)
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


def _source_of(work: Work, path: str) -> Callable[[fx.Node], bool | fx.Node]:
    """Of a node in a forward whether it gives what a SELU does; a node before it that decides."""

    def source(node: fx.Node) -> bool | fx.Node:
        if node.op == "placeholder":
            return work.is_selu(work.source(path))
        if node.op != "call_module":
            return _functional.function_name(node) in SELU_FUNCTIONS
        name = join(path, str(node.target))
        passes = isinstance(work.module(name), PASSING) and len(node.all_input_nodes) == 1
        return node.all_input_nodes[0] if passes else work.is_selu(Source("module", name))

    return source


def _gates(work: Work) -> set[str]:
    """Names of modules whose output a traced forward multiplies with another layer's."""
    found: set[str] = set()
    for path, traced in work.context.traces.items():
        if traced.graph is None:
            continue
        products = _functional.Products(traced.graph, _bounds_in(work, path))
        for node in traced.graph.nodes:
            if node.op == "call_module" and products.gate(node):
                found.add(join(path, str(node.target)))
    return found


def _bounds_in(work: Work, path: str) -> Callable[[fx.Node], str]:
    """What modules that a forward calls stay within: "gate" for [0, 1], "sign" for [-1, 1]."""

    def bounds(node: fx.Node) -> str:
        module = work.context.modules.get(join(path, str(node.target)))
        if node.op != "call_module" or module is None:
            return ""
        if isinstance(module, nn.Sigmoid | nn.Hardsigmoid | nn.Softmax):
            return "gate"
        if isinstance(module, nn.Tanh | nn.Hardtanh | nn.Softsign):
            return "sign"
        found = None if is_library(module) else _probe.pointwise(module)
        return "gate" if found == "gate" else ""

    return bounds


def depth(model: nn.Module) -> int:
    """How many SELU modules there are."""
    return sum(isinstance(m, SELUS) for m in model.modules())
