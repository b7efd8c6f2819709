"""Every private name of torch that selfnorm uses, and what serves where torch has it no more.

They ask who else is listening to an operation, for which torch has no public way, so that everyday
calls may go past the dispatcher; any release may take one away. Then the long way serves, slower
and with the same results. `tests/test_torch_private.py` takes each away.
"""

import importlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.autograd import Function

COMPILED = "_orig_mod"
"""The attribute under which a compiled model keeps the one that it stands for, since torch 2.0."""
_COMPILED_CALL = "_compiled_call_impl"  # since Module.compile, torch 2.2


class Private(NamedTuple):
    """A private name: where torch has it, and what serves without."""

    module: str
    attribute: str
    without: str


_LONG_WAY = "every call takes the way through the dispatcher"
_ONE_BY_ONE = "a network's layers are called one by one"
_BLAS = "predictions of many rows multiply by torch's BLAS"
_STEP_HOOKS = ("_global_optimizer_pre_hooks", "_global_optimizer_post_hooks")
_HOOKS = ("forward_hooks", "forward_pre_hooks", "backward_hooks", "backward_pre_hooks")
NAMES = {
    "transforms_active": Private("torch._C", "_are_functorch_transforms_active", _LONG_WAY),
    "has_storage": Private("torch._C", "_has_storage", _LONG_WAY),
    "is_functional": Private("torch", "_is_functional_tensor", _LONG_WAY),
    "is_zero": Private("torch", "Tensor._is_zerotensor", _LONG_WAY),
    "forward_mode": Private("torch.autograd.forward_ad", "_current_level", _LONG_WAY),
    "dispatch_modes": Private("torch._C", "_len_torch_dispatch_stack", _LONG_WAY),
    "included": Private("torch._C", "_dispatch_tls_is_dispatch_key_included", _LONG_WAY),
    "pre_dispatch": Private("torch._C", "DispatchKey.PreDispatch", _LONG_WAY),
    "is_tracing": Private("torch._C", "_is_tracing", _LONG_WAY),
    "is_profiled": Private("torch._C", "_autograd._profiler_enabled", "a profile has no labels"),
    "apply": Private("torch._C", "_FunctionBase.apply", "Function.apply, 15 us slower"),
    "below_autograd": Private(
        "torch._C",
        "_AutoDispatchBelowAutograd",
        "where derivatives are asked for on the way through the dispatcher, plain torch serves",
    ),
    "graph_task": Private(
        "torch._C",
        "_current_graph_task_id",
        "a mask of a generator's, drawn again by checkpointing, is not refused",
    ),
    "base": Private("torch", "Tensor._base", "a pass more over what is written in place"),
    "creation": Private(
        "torch._C", "_autograd._get_creation_meta", "a pass more over views that are written"
    ),
    "fused_adamw": Private("torch", "_fused_adamw_", "AdamW's step is torch's own"),
    "pack": Private("torch", "ops.mkldnn._reorder_linear_weight", _BLAS),
    "packed_linear": Private("torch", "ops.mkldnn._linear_pointwise", _BLAS),
    **{
        name: Private("torch.optim.optimizer", name, "an optimizer's step is torch's to wrap")
        for name in _STEP_HOOKS
    },
    **{name: Private("torch.nn.modules.module", f"_global_{name}", _ONE_BY_ONE) for name in _HOOKS},
    "tree_leaves": Private("torch.utils._pytree", "tree_leaves", "lists and mappings, taken apart"),
    "tree_map": Private("torch.utils._pytree", "tree_map", "the same"),
}
_forward_ad: Any = importlib.import_module(NAMES["forward_mode"].module)
_ASKED = [name for name, private in NAMES.items() if private.without == _LONG_WAY]


class Ways(NamedTuple):
    """What selfnorm calls, made of what torch has."""

    nobody_listens: Callable[[Tensor], bool]
    """Whether a tensor is numbers in memory and no more, and no one else wants to see a call."""
    transforms_active: Callable[[], bool]
    """Whether vmap, grad or jvp run; True where that is not known."""
    is_profiled: Callable[[], bool]
    below_autograd: Callable[[], AbstractContextManager[Any]] | None
    """Inside, an operation is computed without its derivative; None where torch has no such way."""
    in_backward: Callable[[], bool]
    """Whether this is part of a backward pass, as what checkpointing computes again is."""
    nobody_hears: Callable[[Iterable[nn.Module]], bool]
    """Whether calling modules is nothing but their class's `forward`: no hooks, nothing put in."""
    may_be_refused: Callable[[Tensor], bool]
    """Whether torch might not let a tensor of a graph be written over: a leaf, or some views."""
    fused_adamw: Callable[..., None] | None
    """AdamW of lists of tensors; None where torch has no such function."""
    step_with_hooks: Callable[..., Any] | None
    """An optimizer's step with its hooks before and after, for one that is marked as hooked."""
    packed_linear: Callable[[Tensor, Tensor | None, int], Callable[[Tensor], Tensor]] | None
    """A linear layer of a weight and a bias by oneDNN, for about so many rows at a time; None where
    torch has no such function. Inductor calls the same (torch/_inductor/mkldnn_lowerings.py)."""
    tree_leaves: Callable[[Any], list[Any]]
    tree_map: Callable[[Callable[[Any], Any], Any], Any]


def is_compiled(module: nn.Module) -> bool:
    """Whether `torch.compile` or `Module.compile` made a module run compiled."""
    return hasattr(module, COMPILED) or vars(module).get(_COMPILED_CALL) is not None


def tree_leaves(tree: Any) -> list[Any]:
    """What lies in nested lists, tuples and mappings."""
    return ways.tree_leaves(tree)


def tree_map(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same nested lists, tuples and mappings, of what a function makes of each leaf."""
    return ways.tree_map(function, tree)


def look_up() -> dict[str, Any]:
    """What this torch has of `NAMES`."""
    found = {name: _value(private) for name, private in NAMES.items()}
    return {name: value for name, value in found.items() if value is not None}


def build(have: Mapping[str, Any]) -> Ways:
    """The ways that are open with these names."""
    complete = all(name in have for name in _ASKED)
    return Ways(
        nobody_listens=_asking(have) if complete else lambda _: False,
        transforms_active=have.get("transforms_active", lambda: True),
        is_profiled=have.get("is_profiled", lambda: False),
        below_autograd=have.get("below_autograd"),
        in_backward=_asked_of(have["graph_task"]) if "graph_task" in have else lambda: False,
        nobody_hears=(
            partial(_nobody_hears, [have[name] for name in _HOOKS])
            if all(name in have for name in _HOOKS)
            else lambda _: False
        ),
        may_be_refused=(
            partial(_may_be_refused, have.get("creation")) if "base" in have else lambda _: True
        ),
        fused_adamw=have.get("fused_adamw"),
        step_with_hooks=(
            partial(_step_with_hooks, *(have[name] for name in _STEP_HOOKS))
            if all(name in have for name in _STEP_HOOKS)
            else None
        ),
        packed_linear=(
            partial(_packed_linear, have["pack"], have["packed_linear"])
            if "pack" in have and "packed_linear" in have
            else None
        ),
        tree_leaves=have.get("tree_leaves", _leaves),
        tree_map=have.get("tree_map", _map),
    )


def _value(private: Private) -> Any:
    try:
        value: Any = importlib.import_module(private.module)
    except ImportError:
        return None
    for part in private.attribute.split("."):
        value = getattr(value, part, None)
    return value


def _asking(have: Mapping[str, Any]) -> Callable[[Tensor], bool]:
    has_storage, is_zero, is_functional = (
        have[name] for name in ("has_storage", "is_zero", "is_functional")
    )
    transforms, modes, tracing = (
        have[name] for name in ("transforms_active", "dispatch_modes", "is_tracing")
    )
    included, pre_dispatch = have["included"], have["pre_dispatch"]

    def nobody_listens(x: Tensor) -> bool:
        return (
            has_storage(x)
            and not (x.is_neg() or x.is_nested or is_zero(x) or is_functional(x))
            and not _in_forward_mode()
            and not transforms()
            and not modes()
            and not tracing()
            and not included(pre_dispatch)  # whose modes are on a stack of their own
        )

    return nobody_listens


def _nobody_hears(hooks_of_all: list[Mapping[int, Any]], modules: Iterable[nn.Module]) -> bool:
    if any(hooks_of_all):
        return False
    try:
        for module in modules:
            own = vars(module)
            if (
                own["_forward_hooks"]
                or own["_forward_pre_hooks"]
                or own["_backward_hooks"]
                or own["_backward_pre_hooks"]
                or "forward" in own
                or own.get(_COMPILED_CALL) is not None
            ):
                return False
    except KeyError:  # where torch has no such attribute, who knows
        return False
    return True


def _packed_linear(
    pack: Callable[..., Tensor],
    linear: Callable[..., Tensor],
    weight: Tensor,
    bias: Tensor | None,
    rows: int,
) -> Callable[[Tensor], Tensor]:
    packed = pack(weight, rows)
    return lambda x: linear(x, packed, bias, "none", [], "")


def _step_with_hooks(
    before: Mapping[int, Any],
    after: Mapping[int, Any],
    optimizer: Any,
    step: Callable[..., Any],
    closure: Any,
) -> Any:
    """As torch's own wrapper, but that it makes a record for a profiler only if there is one."""
    label = f"Optimizer.step#{type(optimizer).__name__}.step"
    with torch.profiler.record_function(label) if ways.is_profiled() else nullcontext():
        arguments: Any = (optimizer,) if closure is None else (optimizer, closure)
        named: dict[str, Any] = {}
        for hook in (*before.values(), *optimizer._optimizer_step_pre_hooks.values()):  # noqa: SLF001
            changed = hook(optimizer, arguments, named)
            if changed is not None:
                arguments, named = changed
        result = step(*arguments, **named)
        for hook in (*optimizer._optimizer_step_post_hooks.values(), *after.values()):  # noqa: SLF001
            hook(optimizer, arguments, named)
        return result


def _in_forward_mode() -> bool:
    level: int = _forward_ad._current_level  # noqa: SLF001 - a number, so asked for each time
    return level >= 0


def _asked_of(graph_task: Callable[[], int]) -> Callable[[], bool]:
    return lambda: graph_task() != -1


def quick(function: type[Function]) -> Callable[..., Any]:
    """A function's `apply`, looked up once, for where no transform is active."""
    # torch declares no type for the parent of Function.
    parent: Any = super(Function, function)
    return parent.apply if "apply" in _HAVE else function.apply


def _may_be_refused(creation: Callable[[Tensor], Any] | None, x: Tensor) -> bool:
    base = x._base  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    if base is None:
        return x.is_leaf
    return base.is_leaf or creation is None or creation(x).value != _ORDINARY_VIEW


def _leaves(tree: Any) -> list[Any]:
    if isinstance(tree, list | tuple):
        return [leaf for part in cast("Iterable[Any]", tree) for leaf in _leaves(part)]
    if isinstance(tree, Mapping):
        return [leaf for part in cast("Mapping[Any, Any]", tree).values() for leaf in _leaves(part)]
    return [tree]


def _map(function: Callable[[Any], Any], tree: Any) -> Any:
    if isinstance(tree, list | tuple):
        parts = [_map(function, part) for part in cast("Iterable[Any]", tree)]
        named = hasattr(cast("object", tree), "_fields")
        return type(tree)(*parts) if named else type(tree)(parts)  # pyright: ignore[reportUnknownVariableType]
    if isinstance(tree, Mapping):
        items = cast("Mapping[Any, Any]", tree).items()
        return {key: _map(function, part) for key, part in items}
    return function(tree)


_ORDINARY_VIEW = 0  # CreationMeta.DEFAULT
_HAVE = look_up()
ways = build(_HAVE)
