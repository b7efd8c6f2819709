r"""Bring kernels of convolutions back to orthogonal operators: Newton-Schulz at each frequency.

A convolution multiplies a wave of frequency w by `F(w) = sum_t K_t e^{-i w t}`. The iteration of
`_correct`, at each w,

    F <- F - F (F^H F - I) / 2

is a polynomial of degree 3 in F, so of a kernel with taps 0 to k - 1 it has taps -(k - 1) to
2 (k - 1). On 2 k - 1 frequencies a dimension those outside fall upon each other and upon none of
the k, to which it is cut. Cut, it is no longer orthogonal up to the error's square: of 16 channels
and 3 x 3 taps, after a step of Adam, a third of the error is left, then six tenths of that, and
then less and less goes. From far away it finds none: orthogonal kernels are few among all, unlike
matrices.

`F^H F - I` has 2 k - 1 taps, so as many frequencies determine it. Between them it was up to a
quarter more; between twice as many it is at most sqrt 2 times as much a dimension, as
`u^H (F^H F - I) v` is a trigonometric polynomial of degree k - 1 (Ehlich and Zeller 1964,
*Schwankung von Polynomen zwischen Gitterpunkten*).
"""

import math

import torch
from torch import Tensor

from selfnorm.optim._correct import gram_error, iterated, size_of

_FAR = 0.8  # from here on kernels are shrunk first, into where the iteration converges
_LONG = 30


def spectrum(kernels: Tensor, density: int = 1) -> Tensor:
    """`(count, rows, columns, *kernel)` as matrices `(count * frequencies, rows, columns)`.

    At `density * (2 k - 1)` frequencies along a dimension of k taps, and at half of all: at the
    others the matrices are the conjugates.
    """
    grid, dims = _grid(kernels, density)
    waves = torch.fft.rfftn(kernels, s=grid, dim=dims)
    return waves.flatten(3).movedim(3, 1).flatten(0, 1)


def sizes_of(kernels: Tensor) -> Tensor:
    """`size_of` each kernel: the largest of its frequencies."""
    return _largest(gram_error(spectrum(kernels)), len(kernels))


def corrected_kernels(kernels: Tensor, sizes: Tensor, tolerance: float) -> Tensor:
    """Kernels with Gram errors of at most `tolerance`, or the best that 30 iterations found.

    Args:
        kernels: `(count, rows, columns, *kernel)`, finite.
        sizes: Their `sizes_of`.
        tolerance: `size_of` the Gram errors that are left.
    """
    best, least = kernels, sizes
    last = torch.full_like(sizes, torch.inf)
    kernels = kernels * _each(torch.where(sizes < _FAR, 1.0, (1.0 + sizes).rsqrt()), kernels)
    a = spectrum(kernels)
    error = gram_error(a)
    for _ in range(_LONG):
        kernels = _cut(iterated(a, error), kernels)
        a = spectrum(kernels)
        error = gram_error(a)
        found = _largest(error, len(kernels))
        best = torch.where(_each(found < least, kernels), kernels, best)
        least = torch.minimum(found, least)
        if float(least.max()) <= tolerance or not bool((found < last).any()):
            break
        last = found
    return best


def _grid(kernels: Tensor, density: int = 1) -> tuple[list[int], list[int]]:
    """How many frequencies, and of which dimensions."""
    return [density * (2 * taps - 1) for taps in kernels.shape[3:]], list(range(3, kernels.ndim))


def _cut(a: Tensor, like: Tensor) -> Tensor:
    """Matrices by frequency as kernels, without what is beyond their taps."""
    grid, dims = _grid(like)
    half = [*grid[:-1], grid[-1] // 2 + 1]
    waves = a.unflatten(0, (len(like), math.prod(half))).movedim(1, 3).unflatten(3, half)
    values = torch.fft.irfftn(waves, s=grid, dim=dims)
    return values[(..., *(slice(taps) for taps in like.shape[3:]))]


def _largest(error: Tensor, count: int) -> Tensor:
    return size_of(error).view(count, -1).amax(1)


def _each(values: Tensor, kernels: Tensor) -> Tensor:
    return values.view(-1, *(1 for _ in kernels.shape[1:]))
