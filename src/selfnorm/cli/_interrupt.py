"""What Ctrl-C and SIGTERM do: the program ends at once, but a training keeps what there is.

An exception may come up anywhere, also in the middle of an import or of a write. So it is raised
only while a training is ready for it, and files are written undisturbed.
"""

import os
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

TERMINATED = 128 + signal.SIGTERM
"""The exit code of a training that was told to end, and has."""
INTERRUPTED = 128 + signal.SIGINT
"""That of one of several processes that Ctrl-C ended."""

_SHOW_CURSOR = b"\x1b[?25h"  # a live bar hides it
_MESSAGE = b"\nError: Stopped by Ctrl-C before there was a result. Start again.\n"
_HELD: list[Callable[[], object]] = []


def exit_on_ctrl_c() -> None:
    """From now on Ctrl-C says so in one line and exits with 2."""
    signal.signal(signal.SIGINT, _exit)


@contextmanager
def interruptible() -> Generator[None]:
    """Inside, Ctrl-C raises `KeyboardInterrupt`."""
    yield from _handled_by(signal.default_int_handler)


@contextmanager
def held(leave: Callable[[], object]) -> Generator[None]:
    """Inside, Ctrl-C and SIGTERM that end the program at once let go of something first."""
    _HELD.append(leave)
    try:
        yield from _handled_by(_terminate, signal.SIGTERM)
    finally:
        _HELD.remove(leave)


@contextmanager
def asking(ask: Callable[[BaseException], bool], *, several: bool = False) -> Generator[None]:
    """Inside, Ctrl-C and SIGTERM are handed on to a training, as `training.Checkpoint.ask` is.

    They are raised where none is under way, and a second time.

    Args:
        ask: Whom they are handed on to.
        several: Whether other processes have a part in it. Then Ctrl-C ends all as SIGTERM does:
            what comes behind the training cannot be sure that it came to all.
    """
    interrupt = SystemExit(INTERRUPTED) if several else KeyboardInterrupt()

    def handle(number: int, _frame: FrameType | None) -> None:
        error = interrupt if number == signal.SIGINT else SystemExit(TERMINATED)
        if not ask(error):
            raise error

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def undisturbed() -> Generator[None]:
    """Inside, Ctrl-C does nothing: files are being written."""
    yield from _handled_by(signal.SIG_IGN)


def _handled_by(
    handler: Callable[..., Any] | signal.Handlers, number: int = signal.SIGINT
) -> Generator[None]:
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def _terminate(*_: object) -> None:
    _leave()
    os._exit(TERMINATED)


def _leave() -> None:
    for leave in _HELD:
        with suppress(Exception):
            leave()


def _exit(*_: object) -> None:
    _leave()
    os.write(2, _SHOW_CURSOR + _MESSAGE if os.isatty(2) else _MESSAGE)
    os._exit(2)
