"""A layer that was seen outside of torch, as arrays, and the figures of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfnorm.recording._layer import Features, Layer, Weights
from selfnorm.recording._matrices import thinned, units_last
from selfnorm.recording._quiet import quiet
from selfnorm.recording._sample import correlations, sample_of
from selfnorm.theory._types import FloatArray


@dataclass(frozen=True)
class Seen:
    """What a layer put out, and what it is.

    Attributes:
        name: As in `Layer`, as are module, kind, role, activation and settings.
        sources: Indices of the layers that it reads; -1 is the input.
        values: Its output, in any shape.
        dtype: Of its output, where that was.
        dims: The axes that count units; None for the last.
        weights: Its weights.
        bias: What it adds to each unit; None without.
        terms: Mean square of what its units sum, if it has weights.
    """

    name: str
    module: str
    kind: str
    role: str
    sources: tuple[int, ...]
    values: NDArray[Any]
    dtype: str
    dims: tuple[int, ...] | None = None
    activation: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    weights: tuple[Weights, ...] = ()
    bias: FloatArray | None = None
    terms: float = np.nan


@quiet
def layer_of(index: int, seen: Seen, gradient: FloatArray, arriving: Mapping[int, float]) -> Layer:
    """Its figures.

    Args:
        index: Its place.
        seen: The layer.
        gradient: By its output.
        arriving: Root mean square of the gradient by each layer's output.
    """
    values = units_last(seen.values, seen.dims)
    means, variances = values.mean(0), values.var(0)
    mean, variance = float(means.mean()), float(variances.mean() + means.var())
    found = sample_of(thinned(values), seen.activation, seen.settings.get("form"))
    bias = np.zeros(0) if seen.bias is None else seen.bias
    scale = float(variances.mean() + (means**2).mean())
    samples = seen.values.shape[0] if seen.values.ndim > 1 else 1
    before = [arriving[source] for source in seen.sources]
    data_gain = np.nan
    if seen.role == "linear":
        own = bias if len(bias) == len(means) else np.zeros(len(means))
        data_gain = float(np.mean(variances + (means - own) ** 2) / np.float64(seen.terms))
    return Layer(
        index=index,
        name=seen.name,
        module=seen.module,
        kind=seen.kind,
        role=seen.role,
        activation=seen.activation,
        use=1,
        inputs=seen.sources,
        shape=tuple(seen.values.shape),
        dtype=seen.dtype,
        mean=mean,
        variance=variance,
        unit_means=means,
        unit_variances=variances,
        dead=float(np.mean(variances <= 1e-12 * scale)) if len(values) > 1 else np.nan,
        non_finite=not (np.isfinite(mean) and np.isfinite(variance)),
        gradient=root_mean_square([gradient]),
        gradient_in=float(np.sqrt(np.mean(np.square(before)))) if before else np.nan,
        gradient_norm=float(np.sqrt(np.square(gradient).sum() / max(samples, 1))),
        sample=found,
        data_gain=data_gain,
        weights=seen.weights,
        bias=bias,
        settings=dict(seen.settings),
    )


@quiet
def features_of(reader: int, read: NDArray[Any], dims: tuple[int, ...] | None) -> Features:
    """The moments of what a layer with weights reads first."""
    values = units_last(read, dims)
    means, variances = values.mean(0), values.var(0)
    step = max(1, len(values) // 2048)
    some = values[::step, :: max(1, values.shape[1] // 64)]
    mean, variance = float(means.mean()), float(variances.mean() + means.var())
    return Features(
        reader, mean, variance, means, variances, float(values.min()), float(values.max()),
        len(values), *correlations(some),
    )  # fmt: skip


@quiet
def root_mean_square(arrays: Sequence[FloatArray]) -> float:
    """Of all numbers together; nan if there is none."""
    count = sum(a.size for a in arrays)
    total = sum(float(np.square(a).sum()) for a in arrays)
    return float(np.sqrt(total / count)) if count else np.nan


def numbered(names: Sequence[str]) -> list[str]:
    """The second use of a name, and later ones, say so."""
    uses: dict[str, int] = {}
    found: list[str] = []
    for name in names:
        uses[name] = use = uses.get(name, 0) + 1
        found.append(name if use == 1 else f"{name} (use {use})")
    return found
