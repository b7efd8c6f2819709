"""A command in several processes that `torchrun` started: the first writes and prints."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from selfnorm.cli._console import fail, mute
from selfnorm.errors import SelfNormError

if TYPE_CHECKING:
    from selfnorm.training import Processes


def mute_but_first() -> None:
    """Let all processes but the first print nothing, if `torchrun` has started several."""
    if _started() and os.environ["RANK"] != "0":
        mute()


@contextmanager
def joined() -> "Generator[Processes | None]":
    """Inside, processes train together; None where this one is alone.

    Of an error in one of them one line is printed, and all end with exit code 2.
    """
    if not _started():
        yield None
        return
    from selfnorm.training import Processes

    process: Processes | None = None
    try:
        with Processes.joined() as process:
            yield process
    except SelfNormError as error:
        if process is None:  # none has found the others, so each says so, but for the muted
            raise
        if process.is_first_to_fail():
            of = f"In process {process.rank} of {process.size}: " if process.rank else ""
            mute(False)
            fail(f"{of}{error}")
        raise typer.Exit(2) from error


def _started() -> bool:
    return all(name in os.environ for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"))
