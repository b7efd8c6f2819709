"""Random numbers that start from a seed inside a block, and go on as before outside."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def seeded(seed: int | None, devices: Iterable[torch.device]) -> Generator[None]:
    """Torch's generators of the CPU and of those devices are, after the block, as before it.

    Inside they start from the seed, or with None from where they are. `torch.manual_seed` would
    seed every device there is, also those that nobody restores.
    """
    generators = [torch.default_generator, *(g for d in set(devices) for g in _of_device(d))]
    states = [generator.get_state() for generator in generators]
    if seed is not None:
        for generator in generators:
            generator.manual_seed(seed)
    try:
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


def devices_of(model: nn.Module, tensors: Iterable[Tensor] = ()) -> set[torch.device]:
    """Every device that the model or its inputs lie on."""
    held = (*model.parameters(), *model.buffers(), *tensors)
    return {tensor.device for tensor in held}


def _of_device(device: torch.device) -> tuple[torch.Generator, ...]:
    """The generator of a device, where torch lets one have it: CUDA, ROCm, XPU."""
    if device.type in ("cpu", "meta"):
        return ()
    found = getattr(torch.get_device_module(device), "default_generators", ())
    return (found[device.index or 0],) if found else ()
