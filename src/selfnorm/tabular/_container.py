"""Where the two files of a model lie: in a folder, or in one `.snn` file, a zip of them."""

import zipfile
import zlib
from pathlib import Path

from selfnorm.errors import ModelFolderError

WEIGHTS = "model.safetensors"
RECORD = "model.json"
COMING = f".{WEIGHTS}.coming"
"""Weights whose record may be there already, while a model is written over another."""
ENDING = ".snn"
CHECKPOINT = "checkpoint"
"""The folder in a model's, or the ending beside its file, of a training that is under way."""
_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, RuntimeError),
    *(OSError, ValueError, OverflowError, MemoryError, IndexError),
)
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Folder:
    """Files of a folder, read as far as they have the size that they should have."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def place(self, name: str) -> Path:
        """What to call a file in an error."""
        return self._path / name

    def size(self, name: str) -> int | None:
        """A file's size in bytes; None if it is not there.

        Raises:
            ModelFolderError: nothing can be told of it.
        """
        path = self.place(name)
        try:
            return path.stat().st_size if path.is_file() else None
        except (OSError, ValueError) as error:
            raise not_readable(path, error) from error

    def read(self, name: str, least: int, most: int) -> bytes:
        """A file's content, if it has so many bytes.

        Raises:
            ModelFolderError: it has not, is missing, or cannot be read.
        """
        path, size = self.place(name), self.size(name)
        check_size(path, size, least, most)
        try:
            with path.open("rb") as file:
                return file.read(size)
        except (OSError, MemoryError) as error:
            raise not_readable(path, error) from error


class Zip:
    """The same of one file. It is read in memory: no name in it becomes a path.

    Raises:
        ModelFolderError: it is no zip, or holds anything else than the two files, each once.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with zipfile.ZipFile(path) as archive:
                names = [one.filename for one in archive.infolist()]
        except _BROKEN as error:
            raise damaged(path, error) from error
        if sorted(names) != [RECORD, WEIGHTS]:
            other = next((name for name in names if name not in (RECORD, WEIGHTS)), None)
            what = "it lacks one, or has it twice" if other is None else f"it holds {other[:40]!r}"
            raise damaged(path, ValueError(f"{RECORD} and {WEIGHTS} are all that it holds; {what}"))

    def place(self, name: str) -> Path:
        """What to call a file in an error."""
        return self._path / name

    def size(self, name: str) -> int | None:
        """What the zip says that a file's size is; None if it is not there."""
        if name == COMING:
            return None
        try:
            with zipfile.ZipFile(self._path) as archive:
                return archive.getinfo(name).file_size
        except (*_BROKEN, KeyError) as error:
            raise damaged(self._path, error) from error

    def read(self, name: str, least: int, most: int) -> bytes:
        """A file's content, if it has so many bytes: no more are unpacked, whatever the zip says.

        Raises:
            ModelFolderError: it has not, or cannot be read.
        """
        size = self.size(name)
        check_size(self.place(name), size, least, most)
        try:
            with zipfile.ZipFile(self._path) as archive:
                known = archive.getinfo(name)
                if known.compress_type not in _PLAIN:
                    raise ValueError("it is packed in another way than deflate")
                with archive.open(known) as file:
                    content = file.read((size or 0) + 1)
        except (*_BROKEN, KeyError) as error:
            raise damaged(self.place(name), error) from error
        if len(content) != size:
            raise damaged(self.place(name), ValueError("its size is not the one that is told"))
        return content


Container = Folder | Zip


def opened(path: Path) -> Container:
    """What holds a model: a file is a zip, whatever it is called."""
    try:
        if not path.is_file():
            return Folder(path)
        if path.suffix.lower() != ENDING and not zipfile.is_zipfile(path):
            raise ModelFolderError(
                f"A model is a folder, or a file that ends in {ENDING}; '{path}' is another file. "
                "Name what `selfnorm fit` wrote; it stands before the table."
            )
        return Zip(path)
    except ModelFolderError:
        raise
    except (OSError, ValueError) as error:
        raise not_readable(path, error) from error


def as_path(path: str | Path) -> Path:
    """The path that a user names.

    Raises:
        ModelFolderError: it is something else.
    """
    if not isinstance(path, str | Path):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ModelFolderError(
            f"A model's folder is a path or its text; got {path!r}. Name the folder."
        )
    return Path(path)


def checkpoint_of(path: str | Path) -> Path:
    """Where a training that is to write a model there keeps its checkpoint."""
    path = as_path(path)
    if path.suffix.lower() == ENDING:
        return path.with_name(f"{path.name}.{CHECKPOINT}")
    return path / CHECKPOINT


def check_size(path: Path, size: int | None, least: int, most: int) -> None:
    """Raise unless a file is there and has so many bytes.

    Raises:
        ModelFolderError: it is not, or has not.
    """
    if size is None:
        raise ModelFolderError(
            f"A model folder holds {RECORD} and {WEIGHTS}; there is no '{path}'. Name a folder "
            "that `selfnorm fit` wrote."
        )
    if not least <= size <= most:
        raise damaged(path, ValueError(f"it has {size:,} bytes, and not {least:,} to {most:,}"))


def not_readable(path: Path, error: Exception) -> ModelFolderError:
    """What to raise where the system does not let a file be read."""
    return ModelFolderError(
        f"A model's files must be readable; '{path}' is not ({reason(error)}). Name a folder "
        "that `selfnorm fit` wrote."
    )


def damaged(path: Path, error: Exception) -> ModelFolderError:
    """What to raise where a file is not as it was written."""
    return ModelFolderError(
        f"A model folder must be as `selfnorm fit` wrote it; '{path}' is damaged "
        f"({reason(error)}). Fit the model again, or restore the file."
    )


def reason(error: Exception) -> str:
    """An error's message in one short line."""
    if isinstance(error, KeyError):
        return f"there is no {error}"[:200]
    told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (told.splitlines() or [type(error).__name__])[0][:200].rstrip(".:")
