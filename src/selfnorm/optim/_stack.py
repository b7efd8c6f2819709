"""Matrices of one shape, wherever in a model they lie, read and corrected as one tensor."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from selfnorm.init._matrices import Matrices
from selfnorm.optim._correct import corrected, gram_error, polar, size_of

_LARGEST = 1 << 22  # numbers a stack; some copies of them are held while it is corrected

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
        self._scales = torch.tensor(scales, dtype=self._wide, device=view.device).view(-1, 1, 1)
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
        """`(count, rows, columns)` with singular values near 1, in float32 or wider."""
        a = torch.cat([m.read() for m in self._matrices]).to(self._wide)
        return a if self._plain else a.div_(self._scales)

    def _write(self, a: Tensor) -> None:
        scaled = a if self._plain else a.mul_(self._scales)
        for m, part in zip(self._matrices, scaled.split(self._counts), strict=True):
            m.write_(part)


def stacked(weights: Sequence[tuple[str, Sequence[Matrices]]]) -> list[Stack]:
    """All matrices of weights, equally large ones together as far as memory allows."""
    alike: dict[tuple[object, ...], list[list[Named]]] = {}
    for name, several in weights:
        for m in several:
            view = m.view
            key = (view.shape[1], m.terms, view.dtype, view.device)
            stacks = alike.setdefault(key, [[]])
            if sum(one.view.numel() for _, one in stacks[-1]) + view.numel() > _LARGEST:
                stacks.append([])
            stacks[-1].append((name, m))
    return [Stack(named) for stacks in alike.values() for named in stacks if named]


def error_of(several: Sequence[Matrices]) -> float:
    """The spectral norm of the Gram error, in double precision: the largest of some matrices."""
    worst = 0.0
    for m in several:
        error = gram_error(m.read().detach().double() / m.scale)
        if not bool(error.isfinite().all()):
            return math.nan
        worst = max(worst, float(torch.linalg.eigvalsh(error).abs().max()))
    return worst
