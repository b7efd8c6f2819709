"""When memory does not suffice: how it is told, and what a user can do."""

from collections.abc import Generator
from contextlib import contextmanager

import pyarrow as pa
import torch

from selfnorm.errors import SelfNormError


def give_back() -> None:
    """Give the system what Arrow keeps for tables to come: matrices are made in other memory."""
    pa.default_memory_pool().release_unused()


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
