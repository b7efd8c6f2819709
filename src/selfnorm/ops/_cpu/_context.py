"""What a kernel is told: a record of addresses, counts and constants, and room for one element."""

import struct

import torch

ELEMENTS = {
    torch.float64: "f8",
    torch.float32: "f4",
    torch.bfloat16: "u2",
    torch.float16: "i2",
}
HEAD = ("x", "grad", "out", "seeds", "count", "inner", "cut")
"""A context begins with addresses and counts, which differ from call to call; int64."""
NUMBERS = ("scale", "shift", "dropped", "slope", "threshold", "floor", "tail", "linear")
"""Behind them are constants, float64, and room for one element, which has the tensors' type."""

head = struct.Struct(f"{len(HEAD)}q").pack
"""The first half of a context."""


def numbers(*values: float) -> bytes:
    """The second half of a context."""
    return struct.pack(f"{len(NUMBERS)}d8x", *values)


STRIP = 128
"""Columns that are summed at a time: as many float64 as the room for random bits takes."""
CALL = 15
"""Words of a program's call: a C function's address, up to 13 arguments, whether it has 13."""
