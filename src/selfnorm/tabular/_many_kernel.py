"""What an infinitely wide network says of many rows: float32, up to errors that are looked at.

    k(r) = a + b r + r^2 q(u),   u = sqrt((1 - r) / 2),   r the correlation of two rows

The line takes no kernel: its share in an output is a vector's product with the row, in float64.
What is left is a hundredth of the kernel where rows are far from equal, and `q` a polynomial, so
that float32 has it up to 1e-7 of itself. Where rows are nearly equal, `1 - r` has few digits; these
pairs, of which there are few, are looked up in float64.

A table is looked up element by element; a polynomial is some passes over blocks that stay in the
processor's cache, each in vector registers.

Waves are an exponential function of a product, taken from the middle of the rows learned from: the
shorter rows are, the more digits their distance has.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from selfnorm.tabular._forward import Wide, regressed
from selfnorm.tabular._kernel import Waves, kernel_table

_DEGREE = 10
_CLOSE = 0.98  # a correlation from which on pairs are looked up
_LEAST = 0.1  # u of these
_PLACES = 4000  # where the polynomial is fitted
_ELEMENTS = 1 << 17  # of a kernel at a time: three such blocks are 1.5 MiB
_MANY = 32  # pairs of which one is nearly equal: then all are looked up
_TRIED = 64  # rows
_BOUND = 1e-5  # of the largest output
_FAR = 100.0  # half the square of a row, of which float32 leaves 1e-5 to the rows near it

Product = Callable[[Tensor, int], Callable[[Tensor], Tensor]]
Outputs = Callable[[np.ndarray], np.ndarray]


class Parts(NamedTuple):
    """A kernel as a line in r, and `q`'s coefficients from the power 0 up."""

    constant: float
    slope: float
    rest: tuple[float, ...]


def of_many(network: Wide, product: Product) -> Outputs:
    """From encoded rows, (rows, features), to their outputs, (rows, outputs), in float64.

    In float32 where that is right to 1e-5 of the largest output on some of the rows that it has
    learned from, or else in float64: small penalties make coefficients that are large against the
    outputs.

    Args:
        network: The network.
        product: From a weight, (outputs, inputs), and how many rows there will be, to a product.
    """
    kernel = network.kernel
    single = (_SingleWaves if isinstance(kernel, Waves) else _Single)(network, product)
    step = -(-len(network.learned) // _TRIED)
    some = network.learned[::step]
    expected = kernel.of(some, network.learned) @ network.coefficients + network.offset
    apart = np.abs(single.of_prepared(some) - expected).max()
    if single.is_far or not apart <= _BOUND * np.abs(expected).max():
        return lambda rows: regressed(network, rows)
    return lambda rows: single.of_prepared(kernel.prepared(rows[:, network.reads]))


@cache
def parts() -> Parts:
    """The kernel of `_kernel`, by least squares."""
    table = kernel_table()
    u = _LEAST + (1 - _LEAST) * (1 + np.cos(np.pi * (np.arange(_PLACES) + 0.5) / _PLACES)) / 2
    r = 1 - 2 * u**2
    values = r.copy()
    table.look_up(values)
    middle = (u - _LEAST) / (1 - _LEAST) * 2 - 1
    bent = np.polynomial.chebyshev.chebvander(middle, _DEGREE) * (r**2)[:, None]
    columns = np.column_stack([np.ones_like(r), r, bent])
    weight = 1 / (0.1 + np.abs(r))  # most pairs are far from equal
    solved = np.linalg.lstsq(
        columns * weight[:, None], values / table.of_equal * weight, rcond=None
    )
    constant, slope, *rest = solved[0].tolist()
    series = np.polynomial.Chebyshev(rest, domain=[_LEAST, 1])
    powers = series.convert(kind=np.polynomial.Polynomial, domain=[-1, 1], window=[-1, 1])
    return Parts(constant, slope, tuple(powers.coef.tolist()))


class _SingleWaves:
    """A network of infinitely many waves in float32."""

    def __init__(self, network: Wide, product: Product) -> None:
        self._middle = network.learned.mean(0)
        learned = network.learned - self._middle
        self._offset = network.offset
        self._step = max(1, _ELEMENTS // len(learned))
        self._products = product(torch.from_numpy(learned).float(), self._step)
        halves = _half_squares(learned)
        self._halves = torch.from_numpy(halves).float()
        self.is_far = bool(halves.max() > _FAR)
        weights = torch.from_numpy(network.coefficients.T).float().contiguous()
        self._outputs = product(weights, self._step)

    @torch.inference_mode()
    def of_prepared(self, rows: np.ndarray) -> np.ndarray:
        """The outputs of rows in units of a wave, in float64."""
        told = np.empty((len(rows), len(self._offset)))
        for at in range(0, len(rows), self._step):
            part = rows[at : at + self._step] - self._middle
            power = self._products(torch.from_numpy(part).float())
            power.sub_(self._halves)
            power.sub_(torch.from_numpy(_half_squares(part)).float()[:, None])
            told[at : at + self._step] = self._outputs(power.clamp_(max=0).exp_()).numpy()
        return told + self._offset


def _half_squares(rows: np.ndarray) -> np.ndarray:
    """Half the square of each row's length."""
    return np.einsum("ij,ij->i", rows, rows) / 2


class _Single:
    """An infinitely wide network of layers in float32."""

    is_far = False  # its rows are of norm 1

    def __init__(self, network: Wide, product: Product) -> None:
        learned, coefficients = network.learned, network.coefficients
        constant, slope, rest = parts()
        self._network = network
        self._step = max(1, _ELEMENTS // len(learned))
        self._fixed = constant * coefficients.sum(0) + network.offset
        self._line = slope * (learned.T @ coefficients)
        self._correlations = product(torch.from_numpy(learned).float(), self._step)
        self._outputs = product(torch.from_numpy(coefficients.T).float().contiguous(), self._step)
        self._rest = [torch.tensor(one, dtype=torch.float32) for one in rest]

    @torch.inference_mode()
    def of_prepared(self, rows: np.ndarray) -> np.ndarray:
        """The outputs of rows with ones, of norm 1, in float64."""
        told = rows @ self._line + self._fixed
        for at in range(0, len(rows), self._step):
            told[at : at + self._step] += self._bent(rows[at : at + self._step])
        return told

    def _bent(self, rows: np.ndarray) -> np.ndarray:
        """The share of what the line leaves."""
        r = self._correlations(torch.from_numpy(rows).float())
        close = None
        if float(r.amax()) > _CLOSE:
            close = torch.nonzero(r > _CLOSE)
            if len(close) > r.numel() // _MANY:
                return self._looked_up(rows)
        values = self._values(r)
        if close is None:
            return self._outputs(values).double().numpy()
        of, to = close.T
        values[of, to] = 0
        told = self._outputs(values).double().numpy()
        return self._with_pairs(told, rows, of.numpy(), to.numpy())

    def _values(self, r: Tensor) -> Tensor:
        """`r^2 q(u)`, by Horner's scheme; not a number where roundings put r beyond 1."""
        *others, before, last = self._rest
        u = torch.add(torch.tensor(0.5), r, alpha=-0.5).sqrt_()
        value = torch.addcmul(before, u, last)
        for coefficient in reversed(others):
            torch.addcmul(coefficient, value, u, out=value)
        return value.mul_(r).mul_(r)

    def _with_pairs(
        self, told: np.ndarray, rows: np.ndarray, of: np.ndarray, to: np.ndarray
    ) -> np.ndarray:
        """Outputs with the share of pairs that are nearly equal."""
        learned, coefficients = self._network.learned, self._network.coefficients
        r = np.einsum("pc,pc->p", rows[of], learned[to])
        np.add.at(told, of, self._left(r)[:, None] * coefficients[to])
        return told

    def _looked_up(self, rows: np.ndarray) -> np.ndarray:
        """The same of all pairs."""
        r = rows @ self._network.learned.T
        return self._left(r.reshape(-1)).reshape(r.shape) @ self._network.coefficients

    def _left(self, r: np.ndarray) -> np.ndarray:
        """What the line leaves of the kernel, (pairs,)."""
        constant, slope, _ = parts()
        table, values = kernel_table(), r.copy()
        table.look_up(values)
        return values / table.of_equal - constant - slope * r
