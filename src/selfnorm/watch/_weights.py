"""Sum and sum of squares of every unit's weights, for each kind of layer that torch has."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from selfnorm.init._layers import Weight, entries
from selfnorm.recording import Weights
from selfnorm.recording._layer import FORWARD
from selfnorm.recording._sample import kurtosis
from selfnorm.theory._types import FloatArray
from selfnorm.watch._flow import Parameter
from selfnorm.watch._moments import to_double
from selfnorm.watch._orthogonal import gram_size
from selfnorm.watch._products import Product

_SAMPLE = 1 << 16
_ROUNDING = 1e-2  # of the squares of weights, in half precision too
_SPREAD = 5.0


def module_weights(module: nn.Module, path: str, *, light: bool = False) -> tuple[Weights, ...]:
    """Those of a module that `selfnorm.init` knows; nothing for others. Light: no kurtosis."""
    found: list[Weights] = []
    for entry in entries(module):
        tensor = getattr(module, entry.name, None)
        if not isinstance(entry, Weight) or not isinstance(tensor, Tensor) or tensor.is_meta:
            continue
        if entry.name in {"bias_k", "bias_v"} or not tensor.is_floating_point():
            continue
        name = f"{path}.{entry.name}" if path else entry.name
        by = "" if light else _computed(module, entry.name)
        found.append(_measure(name, tensor, entry, by, light=light))
    return tuple(found)


def matrix_weights(weight: Tensor, known: Parameter) -> Weights:
    """Those of a matrix that a function multiplies with; units are its rows."""
    measured = _measure(known.name, weight.detach(), Weight(known.name))
    return replace(measured, drawn=known.drawn, computed=_by_forward(weight, known))


def product_weights(found: Product, known: Parameter) -> Weights:
    """Those of a product's weight, which may be several matrices."""
    view = found.view.detach()
    entry = Weight(known.name, fan_in=found.fan_in, views=lambda _: [view])
    measured = _measure(known.name, found.weight, entry)
    by = _by_forward(found.weight, known)
    return replace(measured, shape=known.shape, drawn=known.drawn, computed=by)


def module_bias(module: nn.Module) -> FloatArray:
    """Every bias of a module, flattened."""
    found = [
        value
        for name, value in module.named_parameters(recurse=False)
        if name.startswith(("bias", "in_proj_bias")) and name not in {"bias_k", "bias_v"}
    ]
    return biases(found)


def biases(found: Sequence[Tensor | None]) -> FloatArray:
    """Tensors as one flat array."""
    flat = [to_double(b).flatten().numpy() for b in found if b is not None]
    return np.concatenate(flat) if flat else np.zeros(0)


def _measure(
    name: str, tensor: Tensor, entry: Weight, by: str = "", *, light: bool = False
) -> Weights:
    held = tensor.detach()
    omega: list[FloatArray] = []
    tau: list[FloatArray] = []
    fan_in, most = 1, 1
    fan_ins: list[int] = []
    for group in entry.groups(held):
        view, dims = group.view, group.dims
        wide = torch.promote_types(view.dtype, torch.float32)  # float64 would copy the weight
        omega.append(to_double(view.sum(dims, dtype=wide)).flatten().numpy())
        size = torch.linalg.vector_norm(view, dim=dims, dtype=wide)
        scale = group.fan_in / group.terms
        tau.append(to_double(size).square().flatten().numpy() * scale)
        fan_ins.append(group.fan_in)
        if group.terms >= most:
            fan_in, most = group.fan_in, group.terms
    if not omega:
        omega, tau = [np.zeros(1)], [np.zeros(1)]
    shape, zeros = (float("nan"), 0.0) if light else _shape_of(held)
    return Weights(
        name=name,
        shape=tuple(tensor.shape),
        omega=np.concatenate(omega),
        tau=np.concatenate(tau),
        fan_in=fan_in,
        terms=most,
        kurtosis=shape,
        zeros=zeros,
        computed=by,
        fan_ins=tuple(fan_ins) if len(set(fan_ins)) > 1 else (),
        frozen=not tensor.requires_grad,
        gram_error=gram_size(entry.matrices(held)) if held.ndim > 1 else float("nan"),
    )


def _by_forward(weight: Tensor, known: Parameter) -> str:
    """Whether a weight was computed from its parameter, and not only moved or masked."""
    if known.stored is None or weight is known.stored:
        return ""
    own, used = known.stored.detach().double(), weight.detach().double()
    if own.shape == used.shape:
        own = own[used != 0]  # what a mask has left
    used = used[used != 0]
    if not used.numel() or not own.numel():
        return ""
    chance = max(_ROUNDING, _SPREAD * (2 / used.numel()) ** 0.5)  # where it is a part
    sizes = float(own.square().mean()), float(used.square().mean())
    return "" if math.isclose(*sizes, rel_tol=chance) else FORWARD


def _shape_of(tensor: Tensor) -> tuple[float, float]:
    """Kurtosis, and the share of zeros, of a sample."""
    flat = tensor.flatten()
    some = to_double(flat[:: max(1, flat.numel() // _SAMPLE)]).numpy()
    zeros = some.size - np.count_nonzero(some)
    return (kurtosis(some), zeros / some.size) if some.size else (float("nan"), 0.0)


def _computed(module: nn.Module, name: str) -> str:
    """What computes a weight: a parametrization, or a hook of the older kind."""
    if parametrize.is_parametrized(module, name):
        parts = cast("nn.ModuleDict", module.parametrizations)[name]
        return " and ".join(type(part).__name__.strip("_") for part in parts.children())
    kinds = {f"{name}_mask": "prune", f"{name}_g": "weight_norm", f"{name}_u": "spectral_norm"}
    return next((kind for left, kind in kinds.items() if hasattr(module, left)), "")


def padding_share(
    shape: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> float:
    """Share of the terms of a convolution's sums that are zeros from its padding.

    Args:
        shape: The input's spatial shape; one entry a dimension, as of all others.
        kernel: Taps of the kernel.
        stride: Steps between outputs.
        padding: Zeros on each side.
        dilation: Steps between taps.
    """
    valid = 1.0
    for size, taps, step, pad, apart in zip(shape, kernel, stride, padding, dilation, strict=True):
        starts = np.arange(0, size + 2 * pad - apart * (taps - 1), step)
        places = starts[:, None] + apart * np.arange(taps) - pad
        valid *= float(np.mean((places >= 0) & (places < size))) if places.size else 1.0
    return 1 - valid


def transposed_padding_share(
    shape: Sequence[int],
    outputs: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> float:
    """The same of a transposed convolution: taps of an output's phase that reach over the edge.

    Output o sums the taps k with `o = stride * i - padding + dilation * k` for a whole i; where i
    is outside of the input there is nothing to sum.
    """
    valid = 1.0
    for size, out, taps, step, pad, apart in zip(
        shape, outputs, kernel, stride, padding, dilation, strict=True
    ):
        reach = np.arange(out)[:, None] + pad - apart * np.arange(taps)
        whole = reach % step == 0
        inside = whole & (reach >= 0) & (reach < size * step)
        counts = whole.sum(1)
        found = inside.sum(1)[counts > 0] / counts[counts > 0]
        valid *= float(found.mean()) if found.size else 1.0
    return 1 - valid
