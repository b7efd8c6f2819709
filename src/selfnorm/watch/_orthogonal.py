"""How far a weight is from orthogonal: the error that `selfnorm.optim` keeps small."""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from selfnorm.init._matrices import Matrices
from selfnorm.optim._correct import gram_error, norm_of

_FAR = 0.5  # the largest tolerance of `keep_orthogonal`
_PROBES, _STEPS = 4, 16


@torch.no_grad()
def gram_size(matrices: Sequence[Matrices]) -> float:
    """The spectral norm of `A^T A / s**2 - I`, the largest; nan if above .5."""
    worst = -math.inf
    for several in matrices:
        view = several.view
        with torch.autocast(view.device.type, enabled=False):
            wide = torch.promote_types(view.dtype, torch.float32)
            a = several.read().to(wide) / several.scale
            if not _least(a) <= _FAR:
                return math.nan
            worst = max(worst, float(norm_of(gram_error(a), _STEPS).max()))
    return worst if 0 <= worst <= _FAR else math.nan


def _least(a: Tensor) -> float:
    """What the norm is at least: by products with some vectors, as most weights are far away."""
    rows, columns = a.shape[1:]
    a = a if rows <= columns else a.mT
    v = _probes(a.shape[1]).to(a)
    error = a @ (a.mT @ v) - v
    sizes = torch.linalg.vector_norm(error, dim=(1, 2))  # five times as fast as Tensor.norm
    return float((sizes / v.norm()).max())


@lru_cache(maxsize=32)
def _probes(rows: int) -> Tensor:
    """The same vectors for all matrices of a size."""
    drawn = torch.Generator("cpu").manual_seed(0)
    return torch.randn(rows, _PROBES, generator=drawn, device="cpu", dtype=torch.float32)
