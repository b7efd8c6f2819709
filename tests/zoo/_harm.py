"""What a conversion must not do, and what it must tell: each a function that gives complaints.

Everything is checked by what models compute and hold, and by hooks of our own: nothing here asks
the library whether it did right.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from tests.zoo._run import copied, evaluated, finite, run, same
from torch import Tensor, nn

import selfnorm
from selfnorm.converting import Changes

_BENDING = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus,
    nn.Hardswish, nn.Hardtanh, nn.Softsign, nn.Tanh, nn.PReLU, nn.RReLU,
)  # fmt: skip
_NORMS = (
    nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm,
    nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d,
)  # fmt: skip
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
_ROUNDING = 1e-3  # of float32, through a hundred layers


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """Tensors of the state dict; a part may put other things there as well."""
    state = model.state_dict().items()
    return {name: held.detach().clone() for name, held in state if isinstance(held, Tensor)}


def touched(before: dict[str, Tensor], model: nn.Module) -> list[str]:
    """Names of tensors of a model that are not as they were."""
    after = state_of(model)
    names = [n for n, t in before.items() if n not in after or not _equal(t, after[n])]
    return names + [n for n in after if n not in before]


def nothing_asked(model: nn.Module, inputs: Any) -> Iterator[str]:
    """A conversion that is to change nothing gives a model that computes the same."""
    new, _ = selfnorm.convert(model, init=None, norms="keep", dropout="keep", activations=())
    if names := touched(state_of(model), new):
        yield f"nothing was asked, and {names[0]} changed"
    if not same(evaluated(new, inputs), evaluated(model, inputs), tolerance=_ROUNDING):
        yield "nothing was asked, and it computes something else"


def trained(model: nn.Module, inputs: Any) -> Iterator[str]:
    """With `init=None` weights stay, but for those that a norm is folded into; so folded is equal.

    The model is trained for a few steps first, so that its norms have gathered statistics.
    """
    model = copied(model)
    with torch.no_grad():
        for _ in range(3):
            run(model.train(), inputs)
    before = state_of(model)
    new, changes = selfnorm.convert(model, init=None, dropout="keep", activations=())
    folded = [change for change in changes if change.kind == "folded"]
    told = {name.strip(",:;") for change in folded for name in change.why.split()}
    gone = set(changes.removed)
    for name in touched({n: t for n, t in before.items() if n not in gone}, new):
        if name not in changes.added and name.rpartition(".")[0] not in told:
            yield f"init=None, and {name} changed"
    equal = {change.kind for change in changes} <= {"folded", "left", "note"}
    if equal and folded:
        outputs = evaluated(model, inputs)
        if finite(outputs) and not same(evaluated(new, inputs), outputs, tolerance=_ROUNDING):
            yield "folded alone, and it computes something else"


def unnamed(old: nn.Module, new: nn.Module, changes: Changes, ran: set[str]) -> Iterator[str]:
    """What SELU networks should not have, and the result still has, stands in the list.

    Args:
        old: The model.
        new: The result.
        changes: The list.
        ran: Names of the modules that a pass calls.
    """
    if any(change.before.startswith("norms and dropout in") for change in changes.left):
        return  # a block of torch's, whose forward counts on its parts
    named = {change.module for change in changes}
    parts = dict(new.named_modules())
    for name, module in old.named_modules():
        still = parts.get(name)
        if type(still) is not type(module) or name not in ran or _covered(name, named):
            continue
        if isinstance(module, _DROPOUTS) and module.p == 0:
            continue
        if isinstance(module, (*_BENDING, *_NORMS, *_DROPOUTS)):
            yield f"{name} ({type(module).__name__}) stays and is not named"


def _covered(name: str, named: set[str]) -> bool:
    """Whether it, or a module that contains it, but not the model alone, is named."""
    parts = name.split(".")
    around = {".".join(parts[:size]) for size in range(1, len(parts) + 1)}
    return bool(around & named)


def watched(
    model: nn.Module, inputs: Any, kinds: tuple[type[nn.Module], ...] | None = None
) -> tuple[dict[str, float], set[str]]:
    """Variances of what modules of some kinds give in training mode; names of all that ran.

    By hooks; of a module that is called several times the first call counts.
    """
    found: dict[str, float] = {}
    ran: set[str] = set()
    handles = []

    def watch(name: str, module: nn.Module) -> Callable[..., None]:
        def hook(_module: nn.Module, _given: object, output: object) -> None:
            ran.add(name)
            if kinds is not None and isinstance(module, kinds) and isinstance(output, Tensor):
                found.setdefault(name, float(output.detach().double().var()))

        return hook

    for name, module in model.named_modules():
        handles.append(module.register_forward_hook(watch(name, module)))
    try:
        with torch.no_grad():
            run(model.train(), inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found, ran


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool(torch.equal(one, other) or _nans(one, other))


def _nans(one: Tensor, other: Tensor) -> bool:
    return one.is_floating_point() and torch.equal(one.isnan(), other.isnan()) and torch.equal(
        one.nan_to_num(), other.nan_to_num()
    )  # fmt: skip
