"""Products and kernels one behind the other, without Python between.

At a few hundred rows a call from Python costs as much as its numbers, and a training step of ten
layers has sixty. So a step is written down once, as a table of calls, and run as one.

A word of the table is a number, or an address that is known when the program runs: an offset in the
memory that a register points to. Register 0 holds 0; register 1 the words themselves, where the
kernels' contexts lie. For several members a word has a step, too, and each member is a run of the
table; the threads share the members, or where there are fewer members than threads, each call.
"""

import ctypes
from array import array
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import torch

from selfnorm.ops._cpu._blas import ARGUMENTS, gemm
from selfnorm.ops._cpu._context import CALL, head, numbers
from selfnorm.ops._cpu._plans import NOT_READ, Plan
from selfnorm.ops._cpu._pool import address, parallel_for

_NOTHING, _OWN, FIRST = 0, 1, 2
"""Registers; those of a program's own begin at the last."""
_WORD = 8
_RUN = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_char_p)


class Place(NamedTuple):
    """Where something lies: bytes from where a register points."""

    register: int
    offset: int = 0
    step: int = 0
    """Bytes from one member's to the next one's."""


NOWHERE = Place(_NOTHING)


_NO_PLACES = (NOWHERE, NOWHERE, NOWHERE, NOWHERE)


class Matrix(NamedTuple):
    """As BLAS has it: column by column, `leading` elements from one to the next."""

    place: Place
    leading: int
    transposed: bool = False


class Program:
    """A table of calls, to be written by `kernel` and `product` and then run any number of times.

    What it calls must be there: `gemm` for the dtype, and each kernel.

    Args:
        dtype: Of all elements.
        members: How many runs there are.
    """

    def __init__(self, dtype: torch.dtype, members: int = 1) -> None:
        self.dtype, self.members = dtype, members
        self._calls: list[list[Place]] = []
        self._contexts: list[list[Place]] = []
        self._constants: list[Any] = []  # where kernels read, so they are kept
        self._product = gemm(dtype) or 0
        self._for_all = ctypes.cast(parallel_for(), ctypes.c_void_p).value or 0
        element = np.float32 if dtype is torch.float32 else np.float64
        self._one = self._constant(np.array([0, 1], element))
        self._zero, self._one = self._one, self._one + element().itemsize
        self._letters = self._constant(np.frombuffer(b"nt", np.uint8))

    def kernel(
        self,
        plan: Plan,
        units: tuple[int, int],
        grain: int,
        places: tuple[Place, Place, Place, Place] = _NO_PLACES,
        count: int = 0,
        inner: int = 0,
        begin: int = 0,
    ) -> None:
        """Run a kernel.

        Args:
            plan: What it is told besides.
            units: How many units of work there are, and how many lie from one member's first to
                the next one's.
            grain: Units below which one thread is quicker than two.
            places: x, gradient, output and seeds.
            count: What the kernel takes it for.
            inner: The same.
            begin: The first unit.
        """
        constants = np.frombuffer(plan.constants, np.int64).tolist()
        context = [*places, *map(_number, (count, inner, plan.cut, *constants))]
        step = units[1]
        call = [
            _number(self._for_all),
            Place(_NOTHING, begin, step),
            Place(_NOTHING, begin + units[0], step),
            *(_number(grain), _number(plan.code or 0)),
            Place(_OWN, len(self._contexts)),  # a number until it is known where they begin
        ]
        self._contexts.append(context)
        self._calls.append(call)

    def product(
        self,
        left: Matrix,
        right: Matrix,
        out: Matrix,
        sizes: tuple[int, int, int],
        *,
        add: bool = False,
    ) -> None:
        """Write the product of two matrices, or add it.

        Args:
            left: `(m, k)`, or transposed.
            right: `(k, n)`, or transposed.
            out: `(m, n)`.
            sizes: m, n and k.
            add: Whether to add it to what is there.
        """
        known = sizes, (left.leading, right.leading, out.leading)
        counts = self._constant(np.array(known, np.int64))
        m, n, k, *leading = (_number(counts + _WORD * at) for at in range(6))
        letters = [_number(self._letters + matrix.transposed) for matrix in (left, right)]
        factors = _number(self._one), _number(self._one if add else self._zero)
        self._calls.append(
            [
                *(_number(self._product), *letters, m, n, k, factors[0]),
                *(left.place, leading[0], right.place, leading[1], factors[1]),
                *(out.place, leading[2]),
            ]
        )

    def finish(self) -> "Program":
        """Make the table; no more calls are taken."""
        begin = CALL * len(self._calls)
        at = list(accumulate(map(len, self._contexts), initial=begin))
        places: list[Place] = []
        for call in self._calls:
            is_product = len(call) == ARGUMENTS + 1
            if not is_product:
                call[-1] = Place(_OWN, _WORD * at[call[-1].offset])
            missing = CALL - 1 - len(call)
            places += [*call, *[NOWHERE] * missing, _number(int(is_product))]
        places += [place for context in self._contexts for place in context]
        size = len(places)
        table = np.array(
            [(offset, register, step) for register, offset, step in places], np.int64
        ).T
        table[2][table[1] == _OWN] = _WORD * size
        self._address = self._constant(np.ascontiguousarray(table))
        code = address("program", torch.float32)
        self._code, self._direct = code, _RUN(code or 0)
        self._size, self._count = size, len(self._calls)
        return self

    def run(self, registers: list[int]) -> None:
        """Run it.

        Args:
            registers: What they point to, from `FIRST` on.
        """
        members = self.members
        words = torch.empty(members * self._size, dtype=torch.int64, device="cpu")
        own = words.data_ptr()
        bases = array("q", (0, own, *registers))
        context = (
            head(self._address, 0, own, bases.buffer_info()[0], self._count, self._size, 0)
            + _NO_NUMBERS
        )
        if members > 1 and members >= torch.get_num_threads() > 1:
            parallel_for()(0, members, 1, self._code, context)
        else:
            self._direct(0, members, context)

    def _constant(self, values: Any) -> int:
        self._constants.append(values)
        return values.ctypes.data


_NO_NUMBERS = numbers(*NOT_READ)


def _number(value: int) -> Place:
    return Place(_NOTHING, value)
