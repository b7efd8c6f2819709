"""After a look at a model, everything is as it was before."""

import copy
import random
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from selfnorm._seeded import seeded

_TORCHS = frozenset(vars(nn.Module()))
_TENSORS = "_parameters", "_buffers"  # dictionaries of each module
_HOLDING = (list, dict, set, deque)


@contextmanager
def untouched(
    model: nn.Module,
    devices: set[torch.device],
    *,
    generators: Iterable[torch.Generator] = (),
    own_random: bool = False,
) -> Generator[None]:
    """Modes, buffers, attributes and random number generators are, after the block, as before it.

    What a `forward` puts on its module is gone again, and lists and the like that it fills are as
    they were, one level deep.
    Parameters that a forward pass writes (an embedding with `max_norm`) are restored too. A model
    may draw from the process's generators, which are then restored; with `own_random` it draws from
    those that its modules hold alone, and the process's, which other threads may use, are left.
    """
    modes = [(module, module.training) for module in model.modules()]
    attributes = [(vars(module), _held(module)) for module in model.modules()]
    tensors = [
        (own, dict(own))
        for m in model.modules()
        for own in map(vars(m).get, _TENSORS)
        if own and isinstance(own, dict)
    ]
    saved = [(tensor, tensor.detach().clone()) for tensor in _written(model)]
    states = [(g, g.get_state()) for g in (*_generators(model), *generators)]
    with nullcontext() if own_random else _process_random(devices):
        try:
            yield
        finally:
            for generator, state in states:
                generator.set_state(state)
            for own, before in attributes:
                _put_back(own, before)
            for own, before in tensors:  # a forward may put another tensor in one's place
                own.clear()
                own.update(before)
            for module, mode in modes:
                module.training = mode
            with torch.no_grad():
                for tensor, before in saved:
                    tensor.copy_(before)


def own_attributes(module: nn.Module) -> list[object]:
    """What a module has besides what torch gives every module."""
    return [value for name, value in vars(module).items() if name not in _TORCHS]


def _held(module: nn.Module) -> dict[str, tuple[object, object]]:
    """A module's attributes but torch's own, each with a copy of what it holds if it can hold."""
    return {
        name: (value, copy.copy(value) if type(value) in _HOLDING else None)
        for name, value in vars(module).items()
        if name not in _TORCHS
    }


def _put_back(own: dict[str, Any], before: dict[str, tuple[object, object]]) -> None:
    for name in set(own) - set(before) - _TORCHS:
        del own[name]
    for name, (value, content) in before.items():
        own[name] = value
        if content is not None:
            cast("Any", value).clear()
            _fill(value, content)


def _fill(value: Any, content: Any) -> None:
    if isinstance(value, dict | set):
        cast("Any", value).update(content)
    else:
        value.extend(content)


@contextmanager
def _process_random(devices: set[torch.device]) -> Generator[None]:
    """Python's, NumPy's and torch's own generators are, after the block, as before it."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - also users' old code
    with seeded(None, devices):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002


def _written(model: nn.Module) -> Iterator[Tensor]:
    yield from model.buffers()
    for module in model.modules():
        if isinstance(module, nn.Embedding | nn.EmbeddingBag) and module.max_norm is not None:
            yield module.weight


def _generators(model: nn.Module) -> Iterator[torch.Generator]:
    """The generators that modules hold, each once."""
    values = (value for module in model.modules() for value in vars(module).values())
    found = {id(value): value for value in values if isinstance(value, torch.Generator)}
    yield from found.values()
