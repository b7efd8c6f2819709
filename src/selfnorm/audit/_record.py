"""Watch a model's forward pass: the mean and variance of what its layers put out."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from selfnorm._seeded import devices_of
from selfnorm.audit._untouched import untouched


@dataclass(frozen=True)
class LayerMoments:
    """Mean and variance of a layer's output, over the batch and all units together.

    The theorems speak of a single unit; a layer's variance is the mean of its units' variances
    plus the variance of their means.
    """

    name: str
    mean: float
    variance: float


def record_moments(
    model: nn.Module, inputs: Tensor, kinds: tuple[type[nn.Module], ...]
) -> list[LayerMoments]:
    """Moments of the outputs of every submodule of the given kinds, in the order they run.

    One forward pass in training mode, as training sees the layers, and without gradients. Hooks,
    modes, buffers (batch normalization's statistics) and torch's random numbers are afterwards as
    before, also after an error. A module that runs twice is recorded twice.

    Args:
        model: The model.
        inputs: One batch, any shape the model takes.
        kinds: Module classes to record, such as `(nn.SELU,)`.
    """
    moments: list[LayerMoments] = []
    handles: list[torch.utils.hooks.RemovableHandle] = []

    def watch(name: str, module: nn.Module) -> None:
        def record(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            variance, mean = torch.var_mean(output.double(), correction=0)
            moments.append(LayerMoments(name, float(mean), float(variance)))

        handles.append(module.register_forward_hook(record))

    try:
        for name, module in model.named_modules():
            if isinstance(module, kinds):
                watch(name, module)
        with untouched(model, devices_of(model, (inputs,))), torch.no_grad():
            model.train()
            model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return moments
