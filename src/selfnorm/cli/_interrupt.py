"""What Ctrl-C does: it ends the program at once, but a training keeps its best epoch.

An exception may come up anywhere, also in the middle of an import or of a write. So it is raised
only while a training is ready for it, and files are written undisturbed.
"""

import os
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

_SHOW_CURSOR = b"\x1b[?25h"  # a live bar hides it
_MESSAGE = b"\nError: Stopped by Ctrl-C before there was a result. Start again.\n"


def exit_on_ctrl_c() -> None:
    """From now on Ctrl-C says so in one line and exits with 2."""
    signal.signal(signal.SIGINT, _exit)


@contextmanager
def interruptible() -> Generator[None]:
    """Inside, Ctrl-C raises `KeyboardInterrupt`."""
    yield from _handled_by(signal.default_int_handler)


@contextmanager
def undisturbed() -> Generator[None]:
    """Inside, Ctrl-C does nothing: files are being written."""
    yield from _handled_by(signal.SIG_IGN)


def _handled_by(handler: Callable[..., Any] | signal.Handlers) -> Generator[None]:
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _exit(*_: object) -> None:
    os.write(2, _SHOW_CURSOR + _MESSAGE if os.isatty(2) else _MESSAGE)
    os._exit(2)
