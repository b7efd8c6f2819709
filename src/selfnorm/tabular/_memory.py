"""When memory does not suffice: how it is told, and what a user can do."""

import ctypes
import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pyarrow as pa
import torch

from selfnorm.errors import SelfNormError


def give_back() -> None:
    """Give the system what is kept for what may come: by Arrow, and by the C library.

    Once glibc has freed 8 MB that it had asked the system for, it takes pieces of up to that size
    from its own heap (M_MMAP_THRESHOLD, mallopt(3)), where those of a column of a million numbers
    leave holes that nothing else fits in.
    """
    pa.default_memory_pool().release_unused()
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Any:
    """glibc's; None where the C library is another."""
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)


@contextmanager
def enough_memory() -> Generator[None]:
    """Turn what torch says of memory into what a user can do."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_lack_of_memory(error):
            raise
        raise SelfNormError(
            "The network and its mini-batches must fit into memory; they do not. Try a smaller "
            "width or batch size."
        ) from error


def is_lack_of_memory(error: MemoryError | RuntimeError) -> bool:
    """Whether it says so: of "illegal memory access" or a memory format it is another error.

    Accelerators have a class for it. The CPU's allocator raises a plain RuntimeError, of two
    wordings (c10/core/impl/alloc_cpu.cpp): "DefaultCPUAllocator: can't allocate memory: you tried
    ..." on Linux and macOS, "DefaultCPUAllocator: not enough memory: you tried ..." on Windows.
    """
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    words = ("DefaultCPUAllocator: can't allocate memory", "DefaultCPUAllocator: not enough memory")
    return any(said in str(error) for said in words)
