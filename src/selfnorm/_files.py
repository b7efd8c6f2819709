"""Files appear whole or not at all."""

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def write_file(path: Path, content: bytes) -> None:
    """Write a file under a temporary name beside it, then rename it into place.

    Raises:
        OSError: the folder cannot be written to; a file that stood there is as before.
    """
    with appearing(path) as file:
        file.write(content)


@contextmanager
def appearing(path: Path) -> Generator[BinaryIO]:
    """A file to write to, under a temporary name; behind the block it is renamed into place.

    Raises:
        OSError: the folder cannot be written to; a file that stood there is as before.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # else a power cut may keep the new name and lose the content
        temporary.replace(path)
        _sync(path.parent)
    except BaseException:
        with suppress(OSError):  # the first error is the one to tell
            temporary.unlink()
        raise


def _sync(folder: Path) -> None:
    """Let a new name last through a power cut; where folders cannot be opened, it does."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
