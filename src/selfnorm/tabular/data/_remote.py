"""Files that are named by a URI (`s3://`, `gs://`, `file://`, ...), by pyarrow's file systems.

Such a file is a path like any other to who reads tables: it has a name, a size and a content.
"""

import os
import re
import stat
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from selfnorm.errors import TableError

# Two characters or more, as C:// is a drive.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_Local: type[Path] = type(Path())


class Remote(_Local):  # pyright: ignore[reportGeneralTypeIssues, reportUntypedBaseClass]
    """A file or folder of a file system that pyarrow knows.

    Attributes:
        uri: Its name.
    """

    uri: str

    @classmethod
    def of(cls, uri: str) -> Self:
        """The file or folder of a URI; `?` begins options of the file system."""
        found = cls(_URI.sub("", uri).partition("?")[0])
        found.uri = uri
        return found

    def __str__(self) -> str:
        return self.uri

    def __fspath__(self) -> str:
        return self.uri

    def __hash__(self) -> int:
        return hash(self.uri)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Remote) and other.uri == self.uri

    def __lt__(self, other: Any) -> bool:
        return self.uri < str(other)

    def __reduce__(self) -> Any:
        return Remote.of, (self.uri,)

    def exists(self, **_: Any) -> bool:
        """Whether it is there."""
        return _info(self.uri).type.name != "NotFound"

    def is_file(self, **_: Any) -> bool:
        """Whether it is a file."""
        return _info(self.uri).is_file

    def is_dir(self, **_: Any) -> bool:
        """Whether it is a folder."""
        return _info(self.uri).type.name == "Directory"

    def stat(self, **_: Any) -> os.stat_result:
        """Its size; nothing else is known."""
        info = _info(self.uri)
        if not info.is_file:
            raise FileNotFoundError(2, "No such file", self.uri)
        return os.stat_result((stat.S_IFREG, 0, 0, 1, 0, 0, info.size, 0, 0, 0))

    def open(self, *_: Any, **__: Any) -> Any:
        """Its bytes."""
        return opened(self)


def is_uri(path: object) -> bool:
    """Whether a text names a file by a URI."""
    return isinstance(path, str) and _URI.match(path) is not None


def path_of(path: Any) -> Path:
    """The path of a name, which may be a URI."""
    return Remote.of(path) if is_uri(path) else path if isinstance(path, Remote) else Path(path)


def opened(path: Path) -> Any:
    """The bytes of a file, at any place."""
    if not isinstance(path, Remote):
        return pa.memory_map(str(path))
    filesystem, inside = _from_uri(path.uri)
    return filesystem.open_input_file(inside)


def streamed(path: Path) -> Any:
    """The bytes of a file from its beginning, unpacked if its name says that it is packed."""
    if not isinstance(path, Remote):
        return pa.input_stream(str(path), compression="detect")
    filesystem, inside = _from_uri(path.uri)
    return filesystem.open_input_stream(inside, compression="detect")


def matching(uri: str) -> Sequence[tuple[Remote, tuple[str, ...]]]:
    """The files in a folder, or that match a pattern with `*`, with their places in the folder.

    As in a shell `*` stands for any name, or a part of one, and `**` for any folders.

    Raises:
        TableError: there is no such file system.
    """
    from pyarrow.fs import FileSelector  # noqa: PLC0415 - who names no URI does not need it

    head, mark, options = uri.partition("?")
    scheme = _URI.match(head)
    begin = scheme.end() if scheme else 0
    names = head[begin:].split("/")
    wild = next((at for at, name in enumerate(names) if "*" in name), len(names))
    base = head[:begin] + "/".join(names[:wild]).rstrip("/")
    filesystem, root = _from_uri(base + mark + options)
    selector = FileSelector(root, allow_not_found=True, recursive=True)
    found: list[tuple[Remote, tuple[str, ...]]] = []
    for info in filesystem.get_file_info(selector):
        inside = info.path[len(root) :].strip("/")
        places = tuple(inside.split("/"))
        if info.is_file and (wild == len(names) or _matches(places, names[wild:])):
            found.append((Remote.of(f"{base}/{inside}{mark}{options}"), places))
    return sorted(found)


def _matches(names: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not names
    if pattern[0] == "**":
        return any(_matches(names[at:], pattern[1:]) for at in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], pattern[0]) and _matches(names[1:], pattern[1:])


def _info(uri: str) -> Any:
    filesystem, path = _from_uri(uri)
    return filesystem.get_file_info(path)


def _from_uri(uri: str) -> tuple[Any, str]:
    """A file system, and the path within it.

    Raises:
        TableError: there is none for it.
    """
    from pyarrow.fs import FileSystem  # noqa: PLC0415 - who names no URI does not need it

    try:
        return FileSystem.from_uri(uri)
    except (pa.ArrowException, ValueError, OSError, ImportError) as error:
        told = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise TableError(
            f"A table named by a URI is in a file system that pyarrow knows (file, s3, gs, hdfs, "
            f"abfs); '{uri}' cannot be opened: {told}. Check the name and what it needs."
        ) from error
