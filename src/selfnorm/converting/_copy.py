"""Copies of models, whatever their `forward` left on them."""

import copy
from typing import TypeVar

import torch
from torch import nn

from selfnorm._given import leaves

Model = TypeVar("Model", bound=nn.Module)


def copied(model: Model) -> Model:
    """A deep copy; tensors that a `forward` left on a module, with their history, are copied, too.

    Those that have a history are none of the model's: `copy` refuses them.
    """
    memo: dict[int, object] = {}
    for module in model.modules():
        for value in vars(module).values():
            for leaf in leaves(value):
                if isinstance(leaf, torch.Tensor) and not leaf.is_leaf:
                    memo[id(leaf)] = leaf.detach().clone()
    return copy.deepcopy(model, memo)
