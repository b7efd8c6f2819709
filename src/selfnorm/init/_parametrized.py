"""Weights that `torch.nn.utils.parametrize` computes from others: read, and tried on a copy."""

import copy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from selfnorm.errors import UnsupportedError


def parametrizations_of(module: nn.Module) -> dict[str, parametrize.ParametrizationList]:
    """What computes each parametrized weight of a module, by the weight's name."""
    if not parametrize.is_parametrized(module):
        return {}
    found = cast("nn.ModuleDict", module.parametrizations)
    return {n: cast("parametrize.ParametrizationList", p) for n, p in found.items()}


def held(parametrization: parametrize.ParametrizationList) -> Tensor:
    """The weight that the layer computes with; read in eval mode, as spectral_norm learns else."""
    modes = [(part, part.training) for part in parametrization.modules()]
    parametrization.eval()
    try:
        value: Tensor = parametrization()
    finally:
        for part, training in modes:
            part.training = training
    return value.detach()


def tensors_for(
    parametrization: parametrize.ParametrizationList, wanted: Tensor, what: str
) -> list[tuple[Tensor, Tensor]] | None:
    """Each tensor behind a weight that has to change for `wanted`, and to what.

    All is tried on a copy. None if the parametrization has no inverse, or keeps another weight.

    Raises:
        UnsupportedError: there can be no copy, or the inverse raises what torch's own do not.
    """
    try:
        trial = copy.deepcopy(parametrization)
    except Exception as error:
        raise UnsupportedError(
            f"initialize_ tries a parametrization on a copy; that of {what} cannot be copied "
            f"({type(error).__name__}). Initialize before parametrizing, or name it in skip."
        ) from error
    try:
        trial.right_inverse(wanted.clone())
        if not holds(trial, wanted):
            return None
        pairs = list(zip(_tensors(parametrization), _tensors(trial), strict=True))
    except (RuntimeError, ValueError):  # torch's own; NotImplementedError is a RuntimeError
        return None
    except Exception as error:
        raise UnsupportedError(
            f"initialize_ tries a parametrization on a copy; that of {what} raised "
            f"{type(error).__name__}: {error}. Mend its right_inverse, or name it in skip."
        ) from error
    if any(one.shape != new.shape or one.dtype != new.dtype for one, new in pairs):
        return None
    return [(one, new.detach()) for one, new in pairs if not torch.equal(one, new)]


def holds(parametrization: parametrize.ParametrizationList, wanted: Tensor) -> bool:
    """Equal up to rounding: a constrained weight is off by its own size, a free one by ulps."""
    tolerance = torch.finfo(wanted.dtype).eps ** 0.5
    off = (held(parametrization) - wanted).norm()
    return bool(off <= tolerance * wanted.norm())


def _tensors(parametrization: parametrize.ParametrizationList) -> list[Tensor]:
    return [*parametrization.parameters(), *parametrization.buffers()]
