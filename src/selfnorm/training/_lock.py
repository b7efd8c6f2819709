"""A folder that one process at a time writes to, on one machine or on several."""

import errno
import json
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

from selfnorm.errors import CheckpointError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_HELD = (BlockingIOError, PermissionError)
_TRIES = 1000
_BEHIND = 1 << 20  # the byte that Windows locks, behind what others read


class Lock:
    """A file that says which process writes to a folder; its system forgets a process that ends.

    Where the system locks files (`flock`, which network file systems hand on to other machines),
    the lock of a process that was killed is free at once, and the file is its trace. Elsewhere a
    process of this machine that is no longer there holds none.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def acquire(self) -> None:
        """Hold the lock from now on.

        Raises:
            CheckpointError: another process does, which is named.
            OSError: the file cannot be written.
        """
        for _ in range(_TRIES):
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                if not self._locked(file):
                    raise self._taken()
                with suppress(OSError):
                    if os.path.samestat(os.fstat(file), self._path.stat()):
                        break
            except BaseException:
                os.close(file)
                raise
            os.close(file)  # whoever held it has removed the file meanwhile: another is there
        else:  # a file system that gives a file another number each time
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), str(self._path))
        os.ftruncate(file, 0)
        os.write(file, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
        self._file = file

    def release(self) -> None:
        """Hold it no longer, and remove the file."""
        if self._file is None:
            return
        file, self._file = self._file, None
        if fcntl is None:  # there an open file cannot be removed
            os.close(file)
            self._path.unlink(missing_ok=True)
        else:
            self._path.unlink(missing_ok=True)
            os.close(file)

    def _locked(self, file: int) -> bool:
        try:
            _lock(file)
        except _HELD:
            return False
        except OSError:  # a file system without locks
            return self._is_free()
        return True

    def _is_free(self) -> bool:
        """Whether nobody is known to hold it: the file is empty, or of one that has ended."""
        pid, host = self._holder()
        if pid is None:
            return True
        return host == socket.gethostname() and not _runs(pid)

    def _holder(self) -> tuple[int | None, str]:
        """Which process says that it holds it, and on which machine."""
        try:
            told: dict[str, Any] = json.loads(self._path.read_text())
            return int(told["pid"]), str(told["host"])
        except (OSError, ValueError, KeyError, TypeError):
            return None, ""

    def _taken(self) -> CheckpointError:
        pid, host = self._holder()
        who = "another process" if pid is None else f"process {pid} on {host}"
        return CheckpointError(
            f"One program at a time writes into a folder; {who} writes into '{self._path.parent}'. "
            "Wait for it, or name another folder."
        )


def _lock(file: int) -> None:
    """Lock an open file until it is closed, or its process ends.

    Raises:
        OSError: another process holds it, or the file system has no locks.
    """
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    import msvcrt  # noqa: PLC0415 - Windows alone has it

    os.lseek(file, _BEHIND, os.SEEK_SET)
    locking: Any = vars(msvcrt)["locking"]
    locking(file, vars(msvcrt)["LK_NBLCK"], 1)
    os.lseek(file, 0, os.SEEK_SET)


def _runs(pid: int) -> bool:
    """Whether there is a process of a number on this machine."""
    if fcntl is None:  # a signal 0 of Windows is no question but Ctrl-C
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True
