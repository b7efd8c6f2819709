"""What a module with a `forward` of its own does, found by calling a copy of it."""

import copy
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from selfnorm._seeded import seeded
from selfnorm.converting._flow import children_of
from selfnorm.converting._norms import BATCH

_MOST = 2  # parameters of an activation, such as a slope that is learned
_NEAR = 1e-3
_STEEP = 6.0  # what an activation stays within on [-4, 4]
_AROUND = {nn.BatchNorm1d: (), nn.BatchNorm2d: (3, 3), nn.BatchNorm3d: (3, 3, 3)}


def pointwise(module: nn.Module) -> Literal["activation", "gate"] | None:
    """Whether a module without parts bends each number by itself, and in what way.

    An activation rises above 0, at most by about 1, and does not rise as it goes below: neither a
    sine nor an exponential is meant. A gate stays within [0, 1].
    """
    parameters = sum(p.numel() for p in module.parameters())
    if any(True for _ in module.children()) or parameters > _MOST:
        return None
    x = torch.linspace(-4, 4, 48)
    y, reversed_, square = (
        _called(module, given) for given in (x.view(3, 16), x.flip(0).view(3, 16), x.view(2, 4, 6))
    )
    if y is None or reversed_ is None or square is None:
        return None
    y = y.flatten()
    by_itself = _near(y, reversed_.flatten().flip(0)) and _near(y, square.flatten())
    bent = float((y.diff().diff()).abs().max()) > _NEAR
    if not (by_itself and bent):
        return None
    if y.min() >= -_NEAR and y.max() <= 1 + _NEAR:
        return "gate"
    rises = bool((y[24:].diff() >= -_NEAR).all()) and y[-1] > y[24] + _NEAR and y[-1] < _STEEP
    return "activation" if rises and y[0] <= y[24] + _NEAR and y[:24].min() > -_STEEP else None


def normalizes(module: nn.Module) -> bool:
    """Whether a module without parts is a normalization and nothing besides.

    Without its own scale and offset, what it gives does not change with the scale of what it is
    given, and changes sign with it.
    """
    own = list(module.parameters(recurse=False))
    if any(True for _ in module.children()) or not own or any(p.ndim != 1 for p in own):
        return False
    plain = copy.deepcopy(module).train()
    for name, parameter in plain.named_parameters():
        parameter.data.fill_(0.0 if "bias" in name else 1.0)
    for x in _samples(own[0].numel()):
        y, larger, other = (_called(plain, given, train=True) for given in (x, 3 * x, -x))
        if y is None or larger is None or other is None:
            continue
        return _near(y, larger) and _near(y, -other) and not _near(y, x) and bool(y.any())
    return False


def silences(module: nn.Module, share: float) -> bool:
    """Whether a module without parts makes what it is given that small, as a layer scale does."""
    own = list(module.parameters(recurse=False))
    if any(True for _ in module.children()) or len(own) != 1 or own[0].ndim > 3:
        return False
    results = (_called(module, x) for x in _samples(own[0].numel()))
    return any(y is not None and bool(y.square().mean().sqrt() < share) for y in results)


def keeps_zero(module: nn.Module) -> bool:
    """Whether zeros stay zeros."""
    y = _called(module, torch.zeros(4, 4))
    return y is not None and not bool(y.any())


def behind_norm(norm: nn.Module) -> nn.Sequential | None:
    """Of a batch normalization with parts: these in a row, if it is itself, and then they.

    None if its `forward` does anything else.
    """
    around = next((size for kind, size in _AROUND.items() if isinstance(norm, kind)), None)
    parts = {name: child for name, child in children_of(norm).items() if child is not None}
    if around is None or not isinstance(norm, BATCH):
        return None
    shape = (4, norm.num_features, *around)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    row = nn.Sequential()
    for name, child in parts.items():
        row.add_module(name, child)
    found, alone = (
        _called(norm, x),
        _called(norm, x, method=next(kind for kind in type(norm).__mro__ if kind in BATCH)),
    )
    expected = None if alone is None else _called(row, alone)
    if found is None or expected is None or not _near(found, expected):
        return None
    return row


def _samples(units: int) -> Iterator[Tensor]:
    """Inputs of so many units, in the shapes that are usual."""
    generator = torch.Generator().manual_seed(0)
    for shape in ((4, units), (2, 3, units), (2, units, 4, 4), (2, units, 5)):
        yield torch.randn(shape, generator=generator)


def _called(
    module: nn.Module, x: Tensor, *, train: bool = False, method: type[nn.Module] | None = None
) -> Tensor | None:
    """What a copy makes of a tensor; None if it raises, or gives anything but as many numbers."""
    try:
        one = copy.deepcopy(module).to("cpu", torch.float32).train(train)
        with torch.no_grad(), seeded(0, ()):
            y = one(x.clone()) if method is None else method.forward(one, x.clone())
    except Exception:  # a copy of anyone's code, on numbers that it may not expect
        return None
    same = isinstance(y, Tensor) and y.shape == x.shape and y.dtype == x.dtype
    return y if same and bool(y.isfinite().all()) else None


def _near(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() <= _NEAR * max(1.0, float(other.abs().max())))
