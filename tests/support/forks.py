"""Processes that are forked from one where all is imported and nothing runs beside.

What threads hold at a fork is held for good in the new process: Arrow's and OpenBLAS's have locks
that nobody lets go of there. So what starts threads, a fit above all, runs in such a process too.
"""

import importlib
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

# The environment in which importing NumPy, SciPy and Arrow starts no threads.
NO_THREADS = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "OPENBLAS_NUM_THREADS": "1",
}
_THREADS = Path("/proc/self/task")  # a folder for each; Linux


def fork(work: Callable[[], object]) -> int:
    """A process that does some work; its number."""
    if _THREADS.exists():
        names = [(one / "comm").read_text().strip() for one in _THREADS.iterdir()]
        assert len(names) == 1, f"a process with threads is not forked: {names}"
    if child := os.fork():
        return child
    code = 1
    try:
        work()
        code = 0
    except SystemExit as error:
        code = int(error.code or 0)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def ended(child: int) -> int:
    """Its exit code, once it has ended; the negative number of the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def forked(work: Callable[[], object]) -> int:
    """The exit code of a process that did some work."""
    return ended(fork(work))


def first(work: Callable[[], object]) -> None:
    """Have work done in a process, and import here what it took, so that others find it."""
    ours, theirs = os.pipe()

    def work_and_tell() -> None:
        work()
        with os.fdopen(theirs, "w") as pipe:
            pipe.write("\n".join(sys.modules))

    child = fork(work_and_tell)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        names = pipe.read().split("\n")
    assert ended(child) == 0
    for name in names:
        with suppress(ImportError):  # some are made, and in no file
            importlib.import_module(name)
