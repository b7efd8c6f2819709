"""What a model is given: a tensor, a tuple, a dictionary, or a few batches of a DataLoader."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from selfnorm._given import as_batch, as_call, leaves
from selfnorm._torch_private import tree_map
from selfnorm.errors import ArgumentError, UnsupportedError
from selfnorm.watch._calls import is_float

BATCHES = 4


@dataclass
class Batch:
    """The arguments of one call, and the target if there is one."""

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict[str, Any])
    target: object = None
    leaves: list[Tensor] = field(default_factory=list[Tensor])

    def prepared(self, device: torch.device, *, copied: bool) -> "Batch":
        """On that device, with gradients by all that is floating point.

        A layer may not write into what gradients are taken by: `copied` lets it.
        """
        leaves: list[Tensor] = []

        def prepare(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            value = value.detach().to(device)
            if value.is_inference():
                value = value.clone()
            if not is_float(value):
                return value
            leaves.append(value.requires_grad_())
            return value.clone() if copied else value

        args, kwargs = tree_map(prepare, self.args), tree_map(prepare, self.kwargs)
        target = tree_map(lambda v: v.to(device) if isinstance(v, Tensor) else v, self.target)
        return Batch(args, kwargs, target, leaves)

    @property
    def rows(self) -> int:
        """Size of the first dimension of the first tensor."""
        for value in leaves((self.args, self.kwargs)):
            if isinstance(value, Tensor):
                return value.shape[0] if value.ndim else 1
        return 0


def batches(inputs: object) -> Iterator[Batch]:
    """The calls to make. A loader's batch `(x, ..., y)` ends with the target."""
    if isinstance(inputs, DataLoader):
        for found in itertools.islice(cast("DataLoader[Any]", inputs), BATCHES):
            args, kwargs, target = as_batch(found)
            yield Batch(args, kwargs, target)
    else:
        yield Batch(*as_call(inputs))


def check_inputs(inputs: object) -> None:
    """Raise for what is neither of the kinds, or holds nothing."""
    if isinstance(inputs, DataLoader):
        return
    if not isinstance(inputs, Tensor | tuple | list | Mapping):
        kind = type(inputs).__name__
        raise UnsupportedError(
            "inputs are what the model is called with: a tensor, a tuple of arguments, a "
            f"dictionary of keyword arguments, or a DataLoader; got {kind}. "
            "torch.as_tensor makes a tensor of an array."
        )
    tensors = tensors_of(inputs)
    if not tensors or any(not v.numel() for v in tensors):
        shapes = ", ".join(str(tuple(v.shape)) for v in tensors) or "no tensor"
        raise ArgumentError(
            f"inputs must hold at least one row; got {shapes}. Some hundred rows are best."
        )
    if any(v.is_meta for v in tensors):
        raise ArgumentError(
            "an audit computes, and tensors on the meta device hold no numbers; got such inputs. "
            "Pass real ones."
        )


def tensors_of(inputs: object) -> list[Tensor]:
    """The tensors among what is given; of a loader none, as its batches are yet to come."""
    return [value for value in leaves(inputs) if isinstance(value, Tensor)]
