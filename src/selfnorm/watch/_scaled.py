"""Weights and the number that their product is multiplied by count as one layer."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from selfnorm.watch._draft import Draft


def scaled(drafts: Sequence[Draft], outputs: Collection[int]) -> list[Draft]:
    """The layers, with `x @ weight / sqrt(fan_in)` as one whose weights are that much smaller.

    So is a network in NTK parametrization, whose weights have variance 1 (Jacot et al. 2018, arXiv
    1806.07572). A number that takes weights further from LeCun's size is no part of them: the
    `1 / sqrt(dim)` of attention's queries, or the share of a branch.

    Args:
        drafts: In the order of their indices.
        outputs: Indices of those that the model returns.
    """
    left = {draft.index: draft for draft in drafts}
    readers: dict[int, list[int]] = {}
    for draft in drafts:
        for source in draft.inputs:
            readers.setdefault(source, []).append(draft.index)
    for draft in drafts:
        is_scale = draft.call.role == "scale"
        factor = float(draft.call.settings.get("factor") or 0) if is_scale else 0.0
        source = left.get(draft.inputs[0]) if factor and len(draft.inputs) == 1 else None
        if source is None or source.call.role != "linear" or len(source.weights) != 1:
            continue
        alone = readers[source.index] == [draft.index] and source.index not in outputs
        if alone and _nearer(source, factor):
            left[draft.index] = _as_one(source, draft, factor)
            del left[source.index]
    return [left[draft.index] for draft in drafts if draft.index in left]


def _nearer(layer: Draft, factor: float) -> bool:
    tau = float(np.mean(layer.weights[0].tau))
    return tau > 0 and abs(np.log(tau * factor**2)) < abs(np.log(tau))


def _as_one(layer: Draft, scale: Draft, factor: float) -> Draft:
    """The layer, with the output of what scales it."""
    (weights,) = layer.weights
    weights = replace(
        weights, omega=factor * weights.omega, tau=factor**2 * weights.tau, factor=factor
    )
    return replace(
        layer,
        kind=f"{layer.kind}*{factor:.3g}",
        index=scale.index,
        sample=scale.sample,
        moments=scale.moments,
        overwritten_by=scale.overwritten_by,
        weights=(weights,),
        bias=factor * layer.bias,
        expression=scale.expression,
        stands_for=(layer.index,),
    )
