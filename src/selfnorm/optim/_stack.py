"""Matrices or kernels of one size, wherever in a model, read and corrected as one tensor."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from selfnorm.init._matrices import Kernels, Matrices
from selfnorm.optim._correct import corrected, gram_error, polar, size_of
from selfnorm.optim._frequency import corrected_kernels, sizes_of, spectrum

_LARGEST = 1 << 22  # numbers a stack; some copies of them are held while it is corrected
_WAVES = 2  # times the taps of each dimension, at most, are the frequencies of a kernel

Named = tuple[str, Matrices]


class Stack:
    """Matrices of one shape, dtype and device.

    Args:
        named: Each with the name of its weight.
    """

    def __init__(self, named: Sequence[Named]) -> None:
        self._matrices = [matrices for _, matrices in named]
        self._counts = [len(matrices.view) for matrices in self._matrices]
        self._names = [name for name, m in named for _ in range(len(m.view))]
        scales = [m.scale for m in self._matrices for _ in range(len(m.view))]
        view = self._matrices[0].view
        self._wide = torch.promote_types(view.dtype, torch.float32)
        self._scales = torch.tensor(scales, dtype=self._wide, device=view.device)
        self._scales = self._scales.view(-1, *(1 for _ in self._matrices[0].size))
        self._plain = all(scale == 1.0 for scale in scales)

    def correct(self, tolerance: float) -> tuple[float, list[str]]:
        """Write matrices that are within the tolerance, or leave them if they are not finite.

        Returns:
            How far they were at most; and the names of the weights that are not finite.
        """
        with torch.autocast(self._scales.device.type, enabled=False):
            a = self._read()
            error = gram_error(a)
            sizes = size_of(error)
            size = float(sizes.max())
            if math.isfinite(size):
                self._write(corrected(a, error, sizes, tolerance))
                return size, []
            finite = a.isfinite().flatten(1).all(1)
            if bool(finite.any()):
                a[finite] = polar(a[finite])
                self._write(a)
            good = finite.tolist()
            return 0.0, [n for n, fine in zip(self._names, good, strict=True) if not fine]

    def _read(self) -> Tensor:
        """`(count, *size)` with singular values near 1, in float32 or wider."""
        a = torch.cat([m.read() for m in self._matrices]).to(self._wide)
        return a if self._plain else a.div_(self._scales)

    def _write(self, a: Tensor) -> None:
        scaled = a if self._plain else a.mul_(self._scales)
        for m, part in zip(self._matrices, scaled.split(self._counts), strict=True):
            m.write_(part)


class KernelStack(Stack):
    """Kernels of one size, dtype and device."""

    def correct(self, tolerance: float) -> tuple[float, list[str]]:
        """The same for operators; the best that was found, where none within the tolerance was."""
        with torch.autocast(self._scales.device.type, enabled=False):
            kernels = self._read()
            sizes = sizes_of(kernels)
            good = sizes.isfinite()
            fine = good.tolist()
            if not any(fine):
                return 0.0, self._names
            kernels[good] = corrected_kernels(kernels[good], sizes[good], tolerance)
            self._write(kernels)
            return float(sizes[good].max()), [
                n for n, is_good in zip(self._names, fine, strict=True) if not is_good
            ]


def stacked(weights: Sequence[tuple[str, Sequence[Matrices]]]) -> list[Stack]:
    """All matrices of weights, equally large ones together as far as memory allows."""
    alike: dict[tuple[object, ...], list[list[Named]]] = {}
    for name, several in weights:
        for m in several:
            view = m.view
            key = (type(m), m.size, view.dtype, view.device)
            stacks = alike.setdefault(key, [[]])
            room = _LARGEST // _WAVES ** len(m.size[2:])
            if sum(one.view.numel() for _, one in stacks[-1]) + view.numel() > room:
                stacks.append([])
            stacks[-1].append((name, m))
    return [
        KernelStack(named) if isinstance(named[0][1], Kernels) else Stack(named)
        for stacks in alike.values()
        for named in stacks
        if named
    ]


def size_of_kernels(several: Sequence[Matrices]) -> float:
    """About the spectral norm of the Gram error, in the time of a correction."""
    wide = torch.promote_types(several[0].view.dtype, torch.float32)
    return max(float(sizes_of(m.read().to(wide) / m.scale).max()) for m in several)


def error_of(several: Sequence[Matrices]) -> float:
    """The spectral norm of the Gram error, in double precision: the largest of some matrices."""
    worst = 0.0
    for m in several:
        values = m.read().detach().double() / m.scale
        error = gram_error(spectrum(values, density=2) if isinstance(m, Kernels) else values)
        if not bool(error.isfinite().all()):
            return math.nan
        worst = max(worst, float(torch.linalg.eigvalsh(error).abs().max()))
    return worst
