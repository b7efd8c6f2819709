"""The steps on the way to a kernel, so that each failure is told as its own and no other's."""

from collections.abc import Generator
from contextlib import contextmanager


class StepError(Exception):
    """A step on the way to a kernel failed: what is at fault, why, and what to do."""


@contextmanager
def step(fault: str, mend: str) -> Generator[None]:
    """What fails in the block is that fault, and no other's."""
    try:
        yield
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise StepError(f"{fault} ({reason})", mend) from error
