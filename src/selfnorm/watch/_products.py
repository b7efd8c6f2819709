"""Weights that a product multiplies with: which of their numbers a unit sums."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

PRODUCTS = frozenset(
    {"matmul", "rmatmul", "mm", "spmm", "sparse_mm", "bmm", "baddbmm", "addmm", "einsum"}
)


class Product(NamedTuple):
    """The weight of one product.

    Attributes:
        weight: As it is given.
        view: Of shape (matrices, units, terms); of a sparse one itself.
        fan_in: How many terms a unit sums.
        read: The other operand.
        summed: Which dimensions of that are summed over.
        plain: Whether each number that is read counts equally often.
    """

    weight: Tensor
    view: Tensor
    fan_in: int
    read: Tensor
    summed: tuple[int, ...]
    plain: bool = True


def product(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], tracked: Sequence[Tensor]
) -> Product | None:
    """The one operand that is no activation, as units of a linear layer; None if there is none."""
    if name == "einsum":
        operands = args[1] if len(args) == 2 and isinstance(args[1], list | tuple) else args[1:]
        return _einsum(args[0], list(operands), tracked) if isinstance(args[0], str) else None
    pair = [*args, *kwargs.values()][-2:] if name in {"addmm", "baddbmm"} else args[:2]
    if len(pair) < 2 or not all(isinstance(one, Tensor) for one in pair):
        return None
    left, right = reversed(pair) if name == "rmatmul" else pair
    of_activations = [any(one is t for t in tracked) for one in (left, right)]
    if of_activations == [True, False]:
        view = right.unsqueeze(-1).mT if right.ndim == 1 else right.mT
        return _made(right, view, left, left.ndim - 1)
    if of_activations == [False, True]:
        view = left.unsqueeze(0) if left.ndim == 1 else left
        return _made(left, view, right, max(right.ndim - 2, 0))
    return None


def _made(weight: Tensor, matrices: Tensor, read: Tensor, summed: int) -> Product:
    """Of matrices of shape (..., units, terms)."""
    dense = matrices.layout == torch.strided
    view = matrices.reshape(-1, *matrices.shape[-2:]) if dense else matrices
    return Product(weight, view, view.shape[-1], read, (summed,))


def _einsum(equation: str, operands: list[Any], tracked: Sequence[Tensor]) -> Product | None:
    """Letters of the weight: shared and kept (matrices), its own and kept (units), summed."""
    left, arrow, kept = equation.replace(" ", "").replace("...", "").partition("->")
    letters = left.split(",")
    if len(operands) != 2 or len(letters) != 2:
        return None
    places = [k for k, one in enumerate(operands) if not any(one is t for t in tracked)]
    if len(places) != 1 or not isinstance(operands[places[0]], Tensor):
        return None
    weight: Tensor = operands[places[0]]
    own, other = letters[places[0]], letters[1 - places[0]]
    if not arrow:
        kept = "".join(c for c in own + other if (own + other).count(c) == 1)
    if len(set(own)) < len(own) or len(own) != weight.ndim:
        return None
    shared = [c for c in own if c in kept and c in other]
    units = [c for c in own if c in kept and c not in other]
    terms = [c for c in own if c not in kept and c in other]
    if not terms or len(shared) + len(units) + len(terms) < len(own):
        return None
    sizes = dict(zip(own, weight.shape, strict=True))
    order = [own.index(c) for c in (*shared, *units, *terms)]
    shape = [math.prod(sizes[c] for c in part) for part in (shared, units, terms)]
    plain = all(c in kept or c in own for c in other)
    read: Tensor = operands[1 - places[0]]
    summed = tuple(other.index(c) + read.ndim - len(other) for c in terms)
    return Product(weight, weight.permute(order).reshape(shape), shape[2], read, summed, plain)
