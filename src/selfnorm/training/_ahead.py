"""Work ahead in a thread: what comes next is made while the last is in use."""

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import TypeVar

Item = TypeVar("Item")
_POLL = 0.1  # seconds after which a thread looks whether anybody still waits for it
_LEAVE = 10.0  # seconds after which one that is stuck in a read is left to itself; it is a daemon


def ahead(
    items: Iterator[Item], depth: int = 1, waited: Callable[[float], object] | None = None
) -> Generator[Item]:
    """The items of an iterator that runs in a thread of its own, so many of them ahead.

    What it raises is raised here. The thread ends with the iterator, or when this one is closed.

    Args:
        items: The iterator; only the thread touches it.
        depth: How many items are made ahead.
        waited: Told after each item how many seconds were waited for it.
    """
    made: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(depth)
    closed = threading.Event()
    work = (items, made, closed)
    thread = threading.Thread(target=_make, args=work, name="selfnorm-ahead", daemon=True)
    thread.start()
    try:
        while True:
            begin = time.perf_counter()
            item, error = made.get()
            if waited is not None:
                waited(time.perf_counter() - begin)
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # pyright: ignore[reportReturnType] - without an error there is one
    finally:
        closed.set()
        thread.join(_LEAVE)


def _make(
    items: Iterator[Item],
    made: "queue.Queue[tuple[Item | None, BaseException | None]]",
    closed: threading.Event,
) -> None:
    """Put all items, and why there are no more, into a queue until it is closed."""
    end: BaseException = StopIteration()
    try:
        for item in items:
            if not _put(made, (item, None), closed):
                return
    except BaseException as error:
        end = error
    _put(made, (None, end), closed)


def _put(made: "queue.Queue[Item]", item: Item, closed: threading.Event) -> bool:
    """Whether an item found its place before the queue was closed."""
    while not closed.is_set():
        try:
            made.put(item, timeout=_POLL)
        except queue.Full:
            continue
        return True
    return False
