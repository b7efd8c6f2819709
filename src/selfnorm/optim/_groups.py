"""Groups of parameters, as an optimizer is given them."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from selfnorm.errors import ArgumentError

BY_MEMBER = ("lr", "weight_decay", "betas")
OF_TORCH = ("amsgrad", "differentiable", "capturable")
"""Options under which torch's own step keeps another state."""


def as_groups(params: list[Any]) -> Iterator[dict[str, Any]]:
    """Groups, also where parameters were given without any."""
    if params and isinstance(params[0], dict):
        yield from params
    elif params:
        yield {"params": params}


def split(group: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Weights, and biases without decay."""
    given = group["params"]
    members = [given] if isinstance(given, Tensor) else list(given)
    biases = [one for one in members if _is_bias(one)]
    weights = [one for one in members if not _is_bias(one)]
    if weights:
        yield {**group, "params": weights}
    if biases:
        yield {**group, "params": biases, "weight_decay": 0.0}


def _is_bias(one: Any) -> bool:
    name, parameter = one if isinstance(one, tuple) else ("", one)
    return parameter.ndim <= 1 or str(name).rpartition(".")[2] == "bias"


def may_fuse(groups: list[Any]) -> bool | None:
    """Whether torch's fused kernel takes all parameters; None leaves it to torch."""
    found: list[Any] = []
    for group in groups:
        given = group["params"] if isinstance(group, dict) else [group]
        given = [given] if isinstance(given, Tensor) else list(given)
        if isinstance(group, dict):
            group["params"] = given  # it may be a generator
        found += [one[1] if isinstance(one, tuple) else one for one in given]
    fits = all(
        isinstance(one, Tensor) and one.is_floating_point() and one.device.type in ("cpu", "cuda")
        for one in found
    )
    return True if fits else None


def members_of(parameters: list[Tensor]) -> int:
    """How many members all of them have.

    Raises:
        ArgumentError: they differ in their first dimension.
    """
    counts = {one.shape[0] if one.ndim else 0 for one in parameters}
    if len(counts) != 1 or 0 in counts:
        raise ArgumentError(
            "Options by member need parameters whose first dimension is the number of members; got "
            f"first dimensions {sorted(counts)}. Put others into a group of their own."
        )
    return counts.pop()


def check_members(group: dict[str, Any]) -> None:
    """Refuse options by member that do not fit a group."""
    count = members_of(group["params"])
    refused = [name for name in OF_TORCH if group[name]]
    if refused:
        raise ArgumentError(f"by_member does not go with {refused[0]}=True. Leave one of them out.")
    for name, values in group["by_member"].items():
        if name not in BY_MEMBER or len(values) != count:
            raise ArgumentError(
                f"by_member takes a sequence of {count} at any of {', '.join(BY_MEMBER)}; got "
                f"{name!r} with {len(values)}."
            )
