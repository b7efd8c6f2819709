"""What Flax NNX's layers start from, and a copy of a module with other weights."""

from collections.abc import Callable
from math import gcd
from typing import Any

from flax import nnx
from flax.nnx.nn.recurrent import RNNCellBase
from jax import numpy as jnp

from selfnorm.jax.init._weight import Constant, Entry, Weight

Value = Callable[[str, Entry, Any], Any]
_BIAS: dict[str, Entry] = {"bias": Constant()}
_NORMS = (nnx.BatchNorm, nnx.LayerNorm, nnx.RMSNorm, nnx.GroupNorm, nnx.InstanceNorm)


def mended(model: nnx.Module, value: Value) -> tuple[nnx.Module, list[str]]:
    """A copy with each known parameter replaced; names of the float parameters that were left.

    Args:
        model: Any module.
        value: Gives a parameter by its name, what it starts from, and its array.
    """
    model = nnx.clone(model)
    done: set[int] = set()
    sums = _summed(model)
    for path, module in nnx.iter_modules(model):
        place = ".".join(map(str, path))
        for attribute, entry in _entries(module, sums.get(id(module))).items():
            variable = getattr(module, attribute, None)
            if not isinstance(variable, nnx.Variable) or id(variable) in done:
                continue
            done.add(id(variable))
            name = f"{place}.{attribute}".lstrip(".")
            variable.set_value(value(name, entry, variable.get_value()))
    left = [
        ".".join(map(str, path))
        for path, node in nnx.iter_graph(model)
        if isinstance(node, nnx.Param)
        and id(node) not in done
        and jnp.issubdtype(node.get_value().dtype, jnp.inexact)
        and not _stays(model, path)
    ]
    return model, left


def _entries(module: Any, terms: int | None) -> dict[str, Entry]:  # noqa: PLR0911 - a table
    """Parameters by name; `terms` of a unit that sums more than its own weights."""
    if isinstance(module, nnx.Linear):
        return {"kernel": Weight((-1,), fan_in=terms)} | _BIAS
    if isinstance(module, nnx.LinearGeneral):
        batch = len(module.batch_axis)
        first = batch + len(module.in_features)
        units = tuple(range(first, first + len(module.out_features)))
        return {"kernel": Weight(units, batch=tuple(range(batch)))} | _BIAS
    if isinstance(module, nnx.Conv):
        return {"kernel": Weight((-1,), blocks=module.feature_group_count)} | _BIAS
    if isinstance(module, nnx.ConvTranspose):
        units = -2 if module.transpose_kernel else -1
        return {"kernel": Weight((units,), steps=_steps(module))} | _BIAS
    if isinstance(module, nnx.Embed):
        return {"embedding": Weight((0,), fan_in=1, multiplies=False)}
    if isinstance(module, _NORMS):
        return {"scale": Constant(1.0), "mean": Constant(), "var": Constant(1.0), **_BIAS}
    return {}


def _steps(module: nnx.ConvTranspose) -> tuple[tuple[int, int], ...]:
    """(axis, every how many taps reach one output)."""
    dims = len(module.kernel_size)
    strides, dilations = (
        (value or 1,) * dims if isinstance(value, int | None) else tuple(value)
        for value in (module.strides, module.kernel_dilation)
    )
    pairs = zip(strides, dilations, strict=True)
    return tuple((axis, s // gcd(s, d)) for axis, (s, d) in enumerate(pairs))


def _summed(model: nnx.Module) -> dict[int, int]:
    """The linear layers in a recurrent cell, whose unit sums input and state."""
    cells: list[Any] = [m for _, m in nnx.iter_modules(model) if isinstance(m, RNNCellBase)]
    return {
        id(part): cell.in_features + cell.hidden_features
        for cell in cells
        for _, part in nnx.iter_modules(cell)
        if isinstance(part, nnx.Linear)
    }


def _stays(model: nnx.Module, path: tuple[Any, ...]) -> bool:
    """Whether it is a PReLU's slope, which starts where it was made to."""
    owner: Any = model
    for part in path[:-1]:
        owner = owner[part] if isinstance(part, int) else getattr(owner, part)
    return isinstance(owner, nnx.PReLU)
