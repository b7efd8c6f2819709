"""The state of a training as one file: tensors and JSON in safetensors, with its own SHA-256."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from selfnorm._files import appearing

_RECORD, _DIGEST = "record", "sha256"  # in the metadata of the file
_WRONG = (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError)


class Snapshot(NamedTuple):
    """What a training has to keep to go on later.

    Attributes:
        tensors: Tensors by name, on any device; those that were read are on the CPU.
        record: All else, as plain JSON; nan and infinity may be in it.
    """

    tensors: Mapping[str, Tensor]
    record: Mapping[str, Any]

    def cloned(self) -> "Snapshot":
        """The same, whatever becomes of its tensors; on the CPU."""
        kept = {name: one.detach().cpu().clone() for name, one in self.tensors.items()}
        return Snapshot(kept, self.record)


class DamagedError(ValueError):
    """A file is not as it was written."""


def write_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Write a file that is there as a whole or not at all, whenever the machine stops.

    Raises:
        OSError: it cannot be written; a file that stood there is as before.
    """
    tensors = {name: one.detach().cpu().contiguous() for name, one in snapshot.tensors.items()}
    record = json.dumps(snapshot.record)
    content = save(tensors, {_RECORD: record, _DIGEST: _digest(record, tensors)})
    with appearing(path) as file:
        file.write(content)


def read_snapshot(path: Path) -> Snapshot:
    """Read a file that `write_snapshot` wrote; no code of it is run.

    Raises:
        DamagedError: it cannot be read, or is not as it was written.
    """
    try:
        # It looks at the size that the header tells before it gives any tensor away.
        with safe_open(path, framework="pt") as file:
            told = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        record = told[_RECORD]
        if told[_DIGEST] != _digest(record, tensors):
            raise DamagedError("its SHA-256 is not the one it holds")
        return Snapshot(tensors, json.loads(record))
    except DamagedError:
        raise
    except _WRONG as error:
        raise DamagedError(_reason(error)) from error


def _digest(record: str, tensors: Mapping[str, Tensor]) -> str:
    """Of the record, and of all names, types, shapes and numbers."""
    found = hashlib.sha256(record.encode())
    for name, one in sorted(tensors.items()):
        found.update(f"\n{name} {one.dtype} {tuple(one.shape)}\n".encode())
        found.update(one.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _reason(error: Exception) -> str:
    """An error's message in one short line."""
    if isinstance(error, KeyError):
        return f"there is no {error}"[:200]
    told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (told.splitlines() or [type(error).__name__])[0][:200].rstrip(".:")
