"""What networks say of many rows: float32 on a CPU, a piece of the rows through all layers at once.

A piece is so small that what a layer hands to the next stays in the processor's cache, and products
are those of oneDNN where torch has them: its BLAS on x86 is MKL, which leaves half of the vector
unit idle on processors of another maker (Zen 5, products of 128 x 128: 107 against 240 GFLOP/s).

Each thread has blocks of its own, from cells to outputs, and works alone: threads that share a
layer wait for each other a hundred thousand times in a million rows, and on a busy machine each
wait can take as long as the scheduler lets another process run.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from selfnorm import _torch_private
from selfnorm.nn import MLP
from selfnorm.tabular._ensemble import Ensemble
from selfnorm.tabular._forward import Wide
from selfnorm.tabular._many_kernel import of_many
from selfnorm.training._threads import can_be_one, one_thread

_ROWS = 2048  # of a piece: a layer of 128 units is 1 MiB
_SIZES = ((3, 5, 7), (64, 50, 128), (33, 128, 2))
_CLOSE = 1e-5

Layer = Callable[[Any], Tensor]
_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


def side_by_side(function: Callable[[_Given], _Made], given: Iterable[_Given]) -> Iterator[_Made]:
    """A function of each, in their order, as many at a time as torch has threads.

    No more of them are taken than are worked on, and one that waits.
    """
    threads = torch.get_num_threads()
    if threads == 1 or not can_be_one():
        yield from map(function, given)
        return

    def alone(one: _Given) -> _Made:
        with one_thread():
            return function(one)

    waiting: deque[Future[_Made]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for one in given:
                waiting.append(pool.submit(alone, one))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for left in waiting:
                left.cancel()


class ManyRows:
    """The outputs of every network of a model for rows, (rows, networks, outputs), float64.

    They lie network by network, so that what follows goes through the rows without steps.

    Args:
        network: An `MLP` or an `Ensemble` in float32 on a CPU; it is put in evaluation mode, and
            its weights are those of now.
        shift: What is to be taken off the features, where rows are sparse; None where they are not.
    """

    def __init__(self, network: nn.Module, shift: np.ndarray | None = None) -> None:
        network.eval()
        self._shift = shift
        finite = network.finite if isinstance(network, Ensemble) else (network,)
        joined = network.joined if isinstance(network, Ensemble) else ()
        self._finite = [_layers(one, shift) for several in finite for one in _alone(several)]
        self._wide = [of_many(Wide.of(*one.arrays, one.kernel), _weighted) for one in joined]

    @torch.inference_mode()
    def __call__(self, rows: Any) -> np.ndarray:
        """The outputs of encoded rows, (rows, features), float32; sparse if there is a shift."""
        given = torch.from_numpy(rows) if self._shift is None else rows
        pieces = [given[at : at + _ROWS] for at in range(0, max(1, rows.shape[0]), _ROWS)]
        told = [_told(layers, pieces) for layers in self._finite]
        told += [wide(rows).T for wide in self._wide]
        return np.stack([one.astype(np.float64) for one in told]).transpose(2, 0, 1)


def _told(layers: Sequence[Layer], pieces: Iterable[Any]) -> np.ndarray:
    """The outputs of one network, (outputs, rows)."""
    parts: list[Tensor] = []
    for piece in pieces:
        x = piece
        for layer in layers:
            x = layer(x)
        parts.append(x.T)
    return torch.cat(parts, dim=1).numpy()


def _alone(network: nn.Module) -> list[nn.Module]:
    """Each member as a network of its own."""
    if isinstance(network, MLP) and network.members is not None:
        return [network.member(number) for number in range(network.members)]
    return [network]


def _layers(network: nn.Module, shift: np.ndarray | None) -> list[Layer]:
    """A network's layers in their order."""
    first, *others = network.children()
    layers = [_product(one) if isinstance(one, nn.Linear) else one for one in others]
    if shift is None:
        return [_product(cast("nn.Linear", first)), *layers]
    return [_sparse_product(cast("nn.Linear", first), shift), *layers]


def _sparse_product(layer: nn.Linear, shift: np.ndarray) -> Layer:
    """A linear layer's product with sparse rows."""
    weight, bias = (one.detach().numpy() for one in (layer.weight, layer.bias))
    columns = np.ascontiguousarray(weight.T)
    bias = (bias - weight.astype(np.float64) @ shift).astype(np.float32)
    return lambda rows: torch.from_numpy(rows @ columns + bias)


def _product(layer: nn.Linear) -> Layer:
    """A linear layer's product."""
    return _weighted(layer.weight.detach(), _ROWS, layer.bias.detach())


def _weighted(weight: Tensor, rows: int, bias: Tensor | None = None) -> Layer:
    """The product of about so many rows with a weight, packed as oneDNN has it."""
    packed = _torch_private.ways.packed_linear
    if packed is None or not _is_right():
        return partial(functional.linear, weight=weight, bias=bias)
    return packed(weight, bias, rows)


@cache
def _is_right() -> bool:
    """Whether oneDNN's products are torch's, up to rounding."""
    packed = _torch_private.ways.packed_linear
    if packed is None:
        return False
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        for rows, inputs, outputs in _SIZES:
            x, weight, bias = (
                torch.randn(*size, generator=generator, dtype=torch.float32, device="cpu")
                for size in ((rows, inputs), (outputs, inputs), (outputs,))
            )
            try:
                found = packed(weight, bias, rows)(x)
            except (RuntimeError, NotImplementedError):  # built without oneDNN
                return False
            expected = functional.linear(x, weight, bias)
            if not torch.allclose(found, expected, rtol=_CLOSE, atol=_CLOSE):
                return False
    return True
