"""Make a model self-normalizing: in a copy, or in place."""

import copy
import gc
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, cast, get_args

import torch
from torch import fx, nn
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_map

from selfnorm.convert import _functional, _norms
from selfnorm.convert._changes import Change, Changes, Kind
from selfnorm.convert._flow import Traced, is_library, pairs, trace
from selfnorm.convert._modules import (
    ACTIVATIONS,
    ALPHA_DROPOUTS,
    OTHERS,
    PLAIN_DROPOUTS,
    WEIGHTED,
    affordable,
    new_dropout,
    new_selu,
)
from selfnorm.convert._select import Choices, selector
from selfnorm.errors import ArgumentError, SelfNormWarning, UnsupportedError
from selfnorm.init import initialize_
from selfnorm.nn import SELU, SELUAlphaDropout

Init = Literal["lecun_normal", "lecun_uniform"]
Dropout = Literal["alpha", "remove", "keep"]
Norms = Literal["fold", "remove", "keep"]
M = TypeVar("M", bound=nn.Module)


def convert(
    model: nn.Module,
    *,
    include: Choices = None,
    exclude: Choices = None,
    init: Init | None = "lecun_normal",
    dropout: Dropout = "alpha",
    norms: Norms = "fold",
    activations: Sequence[type[nn.Module]] | None = None,
    example: object = None,
) -> tuple[nn.Module, Changes]:
    r"""A self-normalizing copy of a model, and the list of what was changed.

    | what | becomes |
    |---|---|
    | ReLU, ELU, GELU, SiLU, ... with weights behind it | SELU |
    | the same at the output; sigmoid and other gates | left, and said so |
    | Dropout, Dropout2d, ... | AlphaDropout, FeatureAlphaDropout; p within the depth's budget |
    | BatchNorm behind a linear layer or convolution | folded into it (statistics of evaluation) |
    | other normalization | removed |
    | `x + f(x)` in a `forward` | `sqrt(1/2) * (x + f(x))` |
    | SELU and alpha dropout behind it | SELUAlphaDropout |
    | weights and biases | LeCun's, by `selfnorm.init.initialize_` |

    Functional calls (`F.relu`) and additions are changed where `torch.fx` can trace the module's
    own `forward`; that module is then a `torch.fx.GraphModule` with the same children. Where it
    cannot (control flow that depends on values or on the mode), the list names it as left.

    Names in the state dict, sharing, device, dtype and mode stay. Folding and removing norms takes
    their parameters away and may add a bias: `Changes.state_dict` and `Changes.added` tell.

    Args:
        model: Any module.
        include: Convert these only: names or patterns (`encoder.*`), classes, functions of name and
            module, one or several; with all that they contain. Everything if None.
        exclude: But not these.
        init: "lecun_normal", "lecun_uniform", or None, which keeps trained weights.
        dropout: "alpha", "remove", or "keep".
        norms: "fold", where that is possible, else remove; "remove"; or "keep".
        activations: Classes to replace by SELU instead of the usual ones; a functional call is
            replaced if the class of its name is among them.
        example: Inputs, as for `audit`. With them the order in which modules run is seen instead of
            taken from the order of their definition, and the result is tried.

    Returns:
        The new model, and `Changes`.

    Raises:
        UnsupportedError: `model` is not a module, or it runs on the example and its copy does not.
        ArgumentError: An unknown choice, a name that fits nothing, or lazy modules.

    Source: Klambauer et al. 2017 (SELU, initialization, alpha dropout); Hoedt et al. 2022 (scaled
    residuals); `torch.nn.utils.fusion` for folding.

    Example:
        >>> model = nn.Sequential(
        ...     nn.Linear(8, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 2)
        ... )
        >>> model, changes = convert(model)
        >>> [type(layer).__name__ for layer in model]
        ['Linear', 'Identity', 'SELUAlphaDropout', 'Identity', 'Linear']
    """
    _check(model, init, dropout, norms)
    new = copy.deepcopy(model)
    return _converted(new, include, exclude, init, dropout, norms, activations, example)


def convert_(
    model: nn.Module,
    *,
    include: Choices = None,
    exclude: Choices = None,
    init: Init | None = "lecun_normal",
    dropout: Dropout = "alpha",
    norms: Norms = "fold",
    activations: Sequence[type[nn.Module]] | None = None,
    example: object = None,
) -> tuple[nn.Module, Changes]:
    """`convert` in place: the modules inside `model` are exchanged.

    The model comes back, too, as a model that is itself an activation, or whose own `forward` is
    rewritten, has to be another object; `Changes` then says so.

    An optimizer that holds parameters which are gone is found, and told of.

    Args:
        model: As for `convert`, and so are all others.
        include: Likewise.
        exclude: Likewise.
        init: Likewise.
        dropout: Likewise.
        norms: Likewise.
        activations: Likewise.
        example: Likewise.

    Returns:
        The model, and `Changes`.

    Raises:
        UnsupportedError: As `convert`.
        ArgumentError: As `convert`.

    Source: As `convert`.

    Example:
        >>> model = nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, 2))
        >>> same, changes = convert_(model)
        >>> same is model, model[1]
        (True, SELU())
    """
    _check(model, init, dropout, norms)
    parameters = {id(p): n for n, p in model.named_parameters()}
    new, changes = _converted(model, include, exclude, init, dropout, norms, activations, example)
    more: list[Change] = []
    if new is not model:
        why = "its forward is rewritten: go on with the model that is returned"
        more.append(Change("", "note", type(model).__name__, "", why))
    kept = {id(p) for p in new.parameters()}
    gone = [name for key, name in parameters.items() if key not in kept]
    if (gone or changes.added) and _optimizers(set(parameters)):
        why = (
            f"{len(gone)} parameters are gone and {len(changes.added)} are new: build the "
            "optimizer again"
        )
        more.append(Change("", "note", "an optimizer holds the model's parameters", "", why))
    return new, Changes((*changes.changes, *more), changes.state_dict, changes.added)


@dataclass
class _Work:
    """A conversion under way."""

    model: nn.Module
    chosen: Callable[[str], bool]
    kinds: tuple[type[nn.Module], ...]
    order: dict[str, int]
    weighted: int  # place of the last layer with weights
    changes: list[Change] = field(default_factory=list[Change])

    def modules(self) -> Iterator[tuple[str, nn.Module]]:
        """Every name of every module that is to be converted."""
        for name, module in list(self.model.named_modules(remove_duplicate=False)):
            if self.chosen(name):
                yield name, module

    def hidden(self, name: str) -> bool:
        """Whether a layer with weights runs after the module."""
        return self.order.get(name, len(self.order)) < self.weighted

    def say(self, module: str, kind: Kind, before: object, after: object, why: str) -> None:
        """Note a change."""
        self.changes.append(Change(module, kind, str(before), str(after), why))

    def put(self, name: str, new: nn.Module, old: nn.Module) -> None:
        """Exchange a module, under all of its names."""
        new.train(old.training)
        for other, module in list(self.model.named_modules(remove_duplicate=False)):
            if module is old:
                self._set(other, new)

    def _set(self, name: str, new: nn.Module) -> None:
        if not name:
            self.model = new
            return
        parent, _, child = name.rpartition(".")
        self.model.get_submodule(parent)._modules[child] = new  # noqa: SLF001


def _converted(
    model: nn.Module,
    include: Choices,
    exclude: Choices,
    init: Init | None,
    dropout: Dropout,
    norms: Norms,
    activations: Sequence[type[nn.Module]] | None,
    example: object,
) -> tuple[nn.Module, Changes]:
    before = set(model.state_dict())
    names = _execution(model, example) if example is not None else None
    names = names or [name for name, _ in model.named_modules(remove_duplicate=False)]
    order: dict[str, int] = {}
    for place, name in enumerate(names):
        order.setdefault(name, place)
    weights = [k for k, name in enumerate(names) if _has_weights(model, name)]
    work = _Work(
        model,
        selector(model, include, exclude),
        tuple(activations) if activations is not None else ACTIVATIONS,
        order,
        max(weights, default=-1),
    )
    traces = {
        name: trace(module)
        for name, module in model.named_modules()
        if not is_library(module) and any(True for _ in module.children())
    }
    if norms != "keep":
        _convert_norms(work, traces, fold=norms == "fold")
    rewrites = list(_rewrites(work, traces, dropout))
    _convert_activations(work, traces)
    depth = _depth(work.model) + sum(len(r.activations) for r in rewrites)
    if dropout != "keep":
        _convert_dropout(work, depth, alpha=dropout == "alpha")
    _fuse(work, traces)
    for rewrite in reversed(rewrites):  # inner modules first
        made, changes = _functional.apply(rewrite, depth)
        work.put(rewrite.path, made, rewrite.module)
        work.changes += changes
    if init is not None:
        _initialize(work, init)
    if example is not None:
        _try(work.model, example)
    after = set(work.model.state_dict())
    gone = {name: None for name in sorted(before - after)}
    return work.model, Changes(tuple(work.changes), gone, tuple(sorted(after - before)))


def _convert_norms(work: _Work, traces: dict[str, Traced], *, fold: bool) -> None:
    before = {second: first for first, second in pairs(work.model, traces)}
    for name, norm in work.modules():
        if not isinstance(norm, _norms.NORMS) or name not in _live(work.model):
            continue
        first = before.get(name)
        layer = work.model.get_submodule(first) if first is not None else None
        if fold and layer is not None and _norms.can_fold(layer, norm):
            had_bias = layer.bias is not None
            _norms.fold(layer, norm)
            also = "" if had_bias else ", which got a bias"
            why = f"a part of {first}{also}: equal in evaluation"
            work.say(name, "folded", _kind(norm), "Identity()", why)
        else:
            why = "SELU keeps mean and variance by itself"
            if fold and isinstance(norm, _norms.BATCH):
                why += "; nothing directly before it that it could be folded into"
            work.say(name, "removed", _kind(norm), "Identity()", why)
        work.put(name, nn.Identity(), norm)


def _convert_activations(work: _Work, traces: dict[str, Traced]) -> None:
    done: set[int] = set()
    gates = _gates(traces)
    for name, module in work.modules():
        if id(module) in done:
            continue
        done.add(id(module))
        if isinstance(module, work.kinds) and not isinstance(module, nn.SELU):
            if name in gates:
                work.say(name, "left", _kind(module), "", "it is a gate: its output is multiplied")
            elif any(work.hidden(n) for n in _names_of(work.model, module)):
                work.put(name, new_selu(), module)
                work.say(name, "replaced", _kind(module), "SELU()", "its fixed point is (0, 1)")
            else:
                work.say(
                    name, "left", _kind(module), "", "it is the output's, which keeps its range"
                )
        elif isinstance(module, OTHERS) and any(
            work.hidden(n) for n in _names_of(work.model, module)
        ):
            why = "a gate or an output, which SELU does not stand for; name it in activations"
            work.say(name, "left", _kind(module), "", why)


def _convert_dropout(work: _Work, depth: int, *, alpha: bool) -> None:
    done: set[int] = set()
    for name, module in work.modules():
        plain = isinstance(module, PLAIN_DROPOUTS)
        if id(module) in done or not (plain or isinstance(module, ALPHA_DROPOUTS)):
            continue
        done.add(id(module))
        p = float(cast("Any", module).p)
        if not alpha:
            if plain:
                work.put(name, nn.Identity(), module)
                work.say(name, "removed", _kind(module), "Identity()", "dropout='remove'")
            continue
        limited = affordable(p, depth)
        why = "keeps mean 0 and variance 1"
        if limited < p:
            why += f"; {depth} SELU layers afford p = {limited:g}, which leaves a tenth of gradients"
        if plain:
            new = new_dropout(module, limited)
            work.put(name, new, module)
            work.say(name, "replaced", _kind(module), _kind(new), why)
        elif limited < p:
            old = _kind(module)
            cast("Any", module).p = limited
            work.say(name, "replaced", old, _kind(module), why.split("; ", maxsplit=1)[1])


def _fuse(work: _Work, traces: dict[str, Traced]) -> None:
    for first, second in list(pairs(work.model, traces)):
        if not (work.chosen(first) and work.chosen(second)):
            continue
        selu, drop = work.model.get_submodule(first), work.model.get_submodule(second)
        if isinstance(selu, nn.SELU) and isinstance(drop, nn.AlphaDropout):
            fused = SELUAlphaDropout(drop.p, inplace=selu.inplace)
            work.put(first, fused, selu)
            work.put(second, nn.Identity(), drop)
            before = f"{_kind(selu)}, {_kind(drop)} at {second}"
            work.say(first, "fused", before, _kind(fused), "one pass, and no mask is kept")


def _rewrites(
    work: _Work, traces: dict[str, Traced], dropout: Dropout
) -> Iterator[_functional.Rewrite]:
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
        found = _functional.find(name, module, traced.graph, _hidden_node(work, name, module))
        for node, why in found.left:
            work.say(name, "left", f"{_functional.function_name(node)}()", "", why)
        if work.kinds is not ACTIVATIONS:
            wanted = {kind.__name__.lower() for kind in work.kinds}
            found.activations = [
                n for n in found.activations
                if _functional.function_name(n).replace("_", "") in wanted
            ]  # fmt: skip
        if dropout != "alpha":
            found.dropouts = []
        if found:
            yield found


def _hidden_node(work: _Work, name: str, module: nn.Module) -> Callable[[fx.Node], bool]:
    """Whether weights follow a node: in this forward, or in the model after this module."""

    def hidden(node: fx.Node) -> bool:
        waiting, seen = list(node.users), set[fx.Node]()
        while waiting:
            user = waiting.pop()
            if user in seen:
                continue
            seen.add(user)
            if user.op == "call_module" and _contains_weights(
                module.get_submodule(str(user.target))
            ):
                return True
            if _functional.function_name(user) in {"linear", "matmul", "conv2d", "conv1d"}:
                return True
            waiting += list(user.users)
        inside = [k for n, k in work.order.items() if n == name or n.startswith(f"{name}.")]
        return bool(name) and max(inside, default=len(work.order)) < work.weighted

    return hidden


def _gates(traces: dict[str, Traced]) -> set[str]:
    """Names of modules whose output a traced forward multiplies with another."""
    found: set[str] = set()
    for path, traced in traces.items():
        for node in traced.graph.nodes if traced.graph is not None else ():
            if node.op == "call_module" and _functional._is_gate(node):  # noqa: SLF001 - one package
                found.add(f"{path}.{node.target}" if path else str(node.target))
    return found


def _initialize(work: _Work, init: Init) -> None:
    unwanted = [
        name
        for name, module in work.model.named_modules()
        if not work.chosen(name) and any(True for _ in module.parameters(recurse=False))
    ]
    distribution = "normal" if init == "lecun_normal" else "uniform"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        initialize_(work.model, distribution=distribution, skip=unwanted)
    for warning in caught:
        if issubclass(warning.category, SelfNormWarning):
            work.say("", "left", "parameters", "", str(warning.message))
    count = sum(isinstance(m, WEIGHTED) for n, m in work.model.named_modules() if work.chosen(n))
    if count:
        why = "variance 1/fan_in, biases 0; init=None keeps trained weights"
        work.say("", "initialized", f"{count} layers as they were", f"{init} weights", why)


def _execution(model: nn.Module, example: object) -> list[str]:
    """Names of modules in the order in which they run; all names of a shared one."""
    names: dict[int, list[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        names.setdefault(id(module), []).append(name)
    ran: list[str] = []
    handles = [
        module.register_forward_pre_hook(lambda m, _: ran.extend(names[id(m)]))
        for module in model.modules()
    ]
    try:
        _run(model, example)
    finally:
        for handle in handles:
            handle.remove()
    return ran


def _run(model: nn.Module, example: object) -> object:
    modes = [(module, module.training) for module in model.modules()]
    copies = tree_map(lambda v: v.clone() if isinstance(v, torch.Tensor) else v, example)
    try:
        model.eval()
        with torch.no_grad(), torch.random.fork_rng():
            if isinstance(copies, dict):
                return model(**cast("dict[str, Any]", copies))
            if isinstance(copies, tuple):
                return model(*cast("tuple[Any, ...]", copies))
            return model(copies)
    finally:
        for module, mode in modes:
            module.training = mode


def _try(model: nn.Module, example: object) -> None:
    try:
        _run(model, example)
    except Exception as error:
        raise UnsupportedError(
            f"a converted model must run as the old one did; on the example it raised "
            f"{type(error).__name__}: {error}. Name the part in exclude."
        ) from error


def _check(model: object, init: object, dropout: object, norms: object) -> None:
    if not isinstance(model, nn.Module):
        raise UnsupportedError(
            f"convert changes a torch.nn.Module; got {type(model).__name__}. Pass the network."
        )
    for name, value, kinds in (
        ("init", init, (*get_args(Init), None)),
        ("dropout", dropout, get_args(Dropout)),
        ("norms", norms, get_args(Norms)),
    ):
        if value not in kinds:
            listed = ", ".join(map(repr, kinds))
            raise ArgumentError(f"{name} is one of {listed}; got {value!r}. Choose one of them.")
    lazy = [name for name, tensor in model.state_dict(keep_vars=True).items() if is_lazy(tensor)]
    if lazy:
        raise ArgumentError(
            f"a conversion needs the shapes of all weights; lazy modules have none yet: "
            f"{', '.join(lazy)}. Run one batch through the model first."
        )


def _optimizers(parameters: set[int]) -> list[torch.optim.Optimizer]:
    """The optimizers of this process that hold one of the parameters."""
    return [
        found
        for found in gc.get_objects()
        if issubclass(type(found), torch.optim.Optimizer)
        and any(id(p) in parameters for group in found.param_groups for p in group["params"])
    ]


def _depth(model: nn.Module) -> int:
    return sum(isinstance(m, nn.SELU | SELU | SELUAlphaDropout) for m in model.modules())


def _live(model: nn.Module) -> set[str]:
    return {name for name, _ in model.named_modules(remove_duplicate=False)}


def _names_of(model: nn.Module, module: nn.Module) -> list[str]:
    return [n for n, m in model.named_modules(remove_duplicate=False) if m is module]


def _has_weights(model: nn.Module, name: str) -> bool:
    return isinstance(model.get_submodule(name), WEIGHTED)


def _contains_weights(module: nn.Module) -> bool:
    return any(isinstance(part, WEIGHTED) for part in module.modules())


def _kind(module: nn.Module) -> str:
    """As `print` shows it, in one line."""
    return f"{type(module).__name__}({module.extra_repr()})"
