"""Run a model on an example: to see in which order its modules run, and that it runs."""

import inspect
from typing import Any, cast

import torch
from torch import nn
from torch.utils.data import DataLoader

from selfnorm._given import as_batch, as_call, generators_of
from selfnorm._seeded import devices_of, seeded
from selfnorm._torch_private import tree_map
from selfnorm.converting._flow import is_library
from selfnorm.errors import ArgumentError, UnsupportedError
from selfnorm.recording import Recording
from selfnorm.watch._record import record
from selfnorm.watch._untouched import untouched

Call = tuple[tuple[Any, ...], dict[str, Any]]


def call_of(example: object) -> Call:
    """The arguments of one call; of a loader its first batch's, without the target.

    The generators that the loader draws from are left as they were.

    Raises:
        ArgumentError: The loader gives no batch.
    """
    if not isinstance(example, DataLoader):
        return as_call(example)
    own = [(generator, generator.get_state()) for generator in generators_of(example)]
    try:
        with seeded(None, ()):
            for batch in cast("DataLoader[Any]", example):
                args, kwargs, _ = as_batch(batch)
                return args, kwargs
    finally:
        for generator, state in own:
            generator.set_state(state)
    raise ArgumentError(
        "example must hold at least one batch; the loader gave none. Check its length."
    )


def absent_in(model: nn.Module, example: Call) -> dict[str, set[str]]:
    """Arguments that are None, or of `*args` empty, in each call of each module."""
    found: dict[str, set[str]] = {}
    handles: list[Any] = []
    several = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}

    def watch(name: str, module: nn.Module) -> None:
        signature = inspect.signature(module.forward)
        parameters = signature.parameters.items()
        optional = {n for n, one in parameters if one.default is None or one.kind in several}

        def enter(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            given = signature.bind_partial(*args, **kwargs).arguments
            absent = {n for n, value in given.items() if value is None} | (optional - set(given))
            found[name] = found.get(name, absent) & absent

        handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))

    for name, module in model.named_modules():
        if not is_library(module):
            watch(name, module)
    try:
        run(model, example)
    finally:
        for handle in handles:
            handle.remove()
    return found


def seen_on(model: nn.Module, example: Call) -> Recording | None:
    """What a run on the example shows: who reads whom. None if it cannot be watched."""
    args, kwargs = example
    try:
        return record(model, kwargs or args)
    except Exception:  # it may run in evaluation alone
        return None


def run(model: nn.Module, example: Call, *, train: bool = False) -> object:
    """What a model gives in evaluation or training mode, without gradients; it stays as it was."""
    devices = devices_of(model)
    device = next(iter(devices)) if len(devices) == 1 else None
    args, kwargs = tree_map(
        lambda v: v.to(device, copy=True) if isinstance(v, torch.Tensor) else v, example
    )
    with untouched(model, devices), torch.no_grad():
        return model.train(train)(*args, **kwargs)


def try_it(model: nn.Module, example: Call) -> Recording | None:
    """What a converted model does on the example; None if that cannot be watched.

    Raises:
        UnsupportedError: It does not run.
    """
    try:
        run(model, example)
    except Exception as error:
        raise UnsupportedError(
            f"a converted model must run as the old one did; on the example it raised "
            f"{type(error).__name__}: {error}. Name the part in exclude."
        ) from error
    return seen_on(model, example)
