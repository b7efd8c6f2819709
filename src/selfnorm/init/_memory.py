"""Which tensors lie in the same memory: weights can be tied without being one `Parameter`.

`b.weight = nn.Parameter(a.weight.data)` makes two parameters of one memory, and so do views of a
flat buffer. What counts is whether an element is shared: two column blocks of one matrix reach over
the same addresses and have no element in common.
"""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy


def is_plain(tensor: Tensor) -> bool:
    """Whether torch itself computes with a tensor; a class with `__torch_dispatch__` does its own.

    Such a class (`DTensor`, quantized weights) says what its memory means, if it has any.
    """
    return getattr(type(tensor), "__torch_dispatch__") is getattr(Tensor, "__torch_dispatch__")  # noqa: B009 - torch declares no type for it


class Sharing:
    """Which of some tensors have an element of memory in common.

    A tensor without memory to look at (meta, lazy, sparse, empty, of a class of its own) shares
    with itself alone.
    """

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        unique = {id(tensor): tensor for tensor in tensors}
        self._tensors = unique
        self._partners = {number: {number} for number in unique}
        found = [t for t in unique.values() if _has_memory(t)]
        found.sort(key=lambda t: (str(t.device), t.data_ptr()))
        open_: list[Tensor] = []
        for tensor in found:
            begin = tensor.data_ptr()
            open_ = [t for t in open_ if t.device == tensor.device and _end(t) > begin]
            for other in open_:
                if _meet(tensor, other):
                    self._partners[id(tensor)].add(id(other))
                    self._partners[id(other)].add(id(tensor))
            open_.append(tensor)

    def partners(self, tensors: Iterable[Tensor]) -> set[int]:
        """The ids of all that share an element with one of these tensors, themselves too."""
        return {number for tensor in tensors for number in self._partners[id(tensor)]}

    def covers(self, others: Iterable[Tensor], tensor: Tensor) -> bool:
        """Whether every element of a tensor is one of the other tensors'."""
        near = {id(other): other for other in others if id(other) in self._partners[id(tensor)]}
        if id(tensor) in near or not near:
            return id(tensor) in near
        cells = _Cells([tensor, *near.values()])
        for other in near.values():
            cells.mark(other)
        return bool(cells.of(tensor).all())


def overlaps_itself(tensor: Tensor) -> bool:
    """Whether two elements of a tensor with memory lie in one place, as after `expand`."""
    if not _has_memory(tensor) or _is_dense(tensor):
        return False
    cells = _Cells([tensor])
    cells.mark(tensor)
    return cells.count() < tensor.numel() * cells.width(tensor)


class _Cells:
    """A mark for every smallest piece of the memory over which tensors reach."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._begin = min(tensor.data_ptr() for tensor in tensors)
        offsets = [tensor.data_ptr() - self._begin for tensor in tensors]
        self._unit = math.gcd(*offsets, *(tensor.element_size() for tensor in tensors))
        length = (max(map(_end, tensors)) - self._begin) // self._unit
        self._marks = torch.zeros(length, dtype=torch.bool, device="cpu")

    def width(self, tensor: Tensor) -> int:
        """How many pieces an element has."""
        return tensor.element_size() // self._unit

    def of(self, tensor: Tensor) -> Tensor:
        """The marks of a tensor's elements, each once where `expand` repeats them."""
        width = self.width(tensor)
        strides = tensor.stride()
        sizes = [size if step else 1 for size, step in zip(tensor.shape, strides, strict=True)]
        start = (tensor.data_ptr() - self._begin) // self._unit
        return self._marks.as_strided((*sizes, width), (*(s * width for s in strides), 1), start)

    def mark(self, tensor: Tensor) -> None:
        """Mark every element of a tensor."""
        self.of(tensor).fill_(value=True)

    def count(self) -> int:
        """How many pieces are marked."""
        return int(self._marks.sum())


def _has_memory(tensor: Tensor) -> bool:
    if is_lazy(tensor) or not is_plain(tensor) or tensor.is_nested:
        return False
    strided = tensor.layout == torch.strided and not tensor.is_meta
    return strided and tensor.numel() > 0 and tensor.data_ptr() != 0


def _end(tensor: Tensor) -> int:
    """The address behind a tensor's last element."""
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    last = sum((size - 1) * step for size, step in steps)
    return tensor.data_ptr() + (last + 1) * tensor.element_size()


def _is_dense(tensor: Tensor) -> bool:
    """Whether a tensor fills the memory over which it reaches, each element once."""
    step = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size > 1 and stride != step:
            return False
        step *= size
    return True


def _meet(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors that reach over common addresses have an element in common."""
    if _is_dense(one) and _is_dense(other):
        return True
    cells = _Cells([one, other])
    cells.mark(one)
    return bool(cells.of(other).any())
