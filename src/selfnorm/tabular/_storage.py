"""Models are saved and loaded: safetensors for the weights, JSON for the rest; no code is run."""

import hashlib
import json
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save

from selfnorm._files import write_file
from selfnorm.errors import ModelFolderError
from selfnorm.tabular._container import CHECKPOINT, COMING, ENDING, RECORD, WEIGHTS, as_path, reason
from selfnorm.tabular._ensemble import Ensemble
from selfnorm.tabular._infinite import InfiniteNetwork
from selfnorm.tabular._kernel import kernel_of
from selfnorm.tabular._model import TabularModel, build_network
from selfnorm.tabular._model_file import (
    FORMAT,
    LARGEST_RECORD,
    SEVERAL,
    WAVES,
    Saved,
    digest_of,
    read_model,
)
from selfnorm.tabular._settings import Architecture
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.encoding._several import LabelsTarget, NumbersTarget
from selfnorm.tabular.encoding._target import Target
from selfnorm.tabular.encoding._targets import target_to_dict

_EPOCH = (1980, 1, 1, 0, 0, 0)  # of zip: the same model writes the same bytes


def check_output(folder: str | Path, *, force: bool) -> None:
    """Raise unless a model can be written into a folder without harm to what is there.

    A file is made in the folder, which is made if needed, and all of it is removed again: what is
    wrong shows before training and not after. A path that ends in `.snn` is that of one file.

    Raises:
        ModelFolderError: the path is a file or cannot be written to; or the folder is not empty
            and either `force` is not given or it holds no model.
    """
    folder = as_path(folder)
    if not folder.parts:
        raise ModelFolderError("A model needs a folder with a name; none came. Name one with -o.")
    try:
        if is_file(folder):
            _check_file(folder, force=force)
            return
        if folder.exists() and not folder.is_dir():
            raise ModelFolderError(
                f"A model is a folder, or a file that ends in {ENDING}; '{folder}' is a file. "
                "Name another with -o."
            )
        if folder.is_dir() and any(one.name != CHECKPOINT for one in folder.iterdir()):
            _check_replaceable(folder, force=force)
        _probe(folder)
    except ModelFolderError:
        raise
    except (OSError, ValueError) as error:
        raise _not_writable(folder, error) from error


def save_model(
    model: TabularModel, folder: str | Path, *, force: bool = False, rows: bool = True
) -> None:
    """Write a model folder, or the same in one file if the path ends in `.snn`.

    Whenever the writing is cut short, the old model is there, or the new one, and never half of
    each: the weights that come are written beside the old ones, then the record, which holds their
    SHA-256, takes the old one's place, then the weights do. Until then `load_model` finds them. The
    record holds its own SHA-256, too.

    Args:
        model: The model.
        folder: Where to; it is made if needed.
        force: Write over a model that is there. Other files stay.
        rows: Whether infinitely wide networks stay, and with them the encoded rows that they have
            learned from; `TabularModel.without_rows` says what is left if not.

    Raises:
        ModelFolderError: the folder cannot be written to, or is not empty; or the model holds
            what JSON in UTF-8 does not.
    """
    folder = as_path(folder)
    check_output(folder, force=force)
    model = model if rows else model.without_rows()
    write_model(model.saved, folder)


def write_model(saved: Saved, folder: Path) -> None:
    """Write a model where `check_output` found that it can be.

    Raises:
        ModelFolderError: as `save_model`.
    """
    weights = save({name: np.ascontiguousarray(one) for name, one in saved.state.items()})
    record = _record_of(saved, weights)
    try:
        if is_file(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            write_file(folder, _zipped({RECORD: record, WEIGHTS: weights}))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            write_file(folder / COMING, weights)
            write_file(folder / RECORD, record)
            (folder / COMING).replace(folder / WEIGHTS)
    except OSError as error:
        raise _not_writable(folder, error) from error


def load_model(folder: str | Path) -> TabularModel:
    """Read a model folder or a `.snn` file; the network is in eval mode. No code of it is run.

    Sizes are looked at before a file is read: a damaged one takes no memory that its model would
    not.

    Raises:
        ModelFolderError: it is missing, damaged, or of another version.
    """
    return model_of(read_model(folder))


def model_of(saved: Saved) -> TabularModel:
    """The model that a model folder tells of."""
    encoder, target = saved.encoder, saved.target
    architectures = tuple(Architecture(**sizes) for sizes in saved.architectures)
    networks = [build_network(encoder, target, one, torch.Generator()) for one in architectures]
    wide = _empty(saved.wide, encoder, target)
    network = networks[0] if saved.blend is None else Ensemble(networks, wide)
    network.load_state_dict({name: torch.from_numpy(one) for name, one in saved.state.items()})
    return TabularModel(encoder, target, architectures, network.eval(), saved.blend, saved.about)


def is_file(path: Path) -> bool:
    """Whether a model goes into one file."""
    return path.suffix.lower() == ENDING


def _record_of(saved: Saved, weights: bytes) -> bytes:
    """What is known of a model besides its weights, as JSON in UTF-8."""
    record = {
        "format": _format_of(saved),
        "about": dict(saved.about),
        "target": target_to_dict(saved.target),
        "encoder": saved.encoder.to_dict(),
        "architectures": saved.architectures,
        "blend": None if saved.blend is None else asdict(saved.blend),
        "infinite": saved.wide,
        "holds_training_rows": bool(saved.wide),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    try:
        record["sha256"] = digest_of(record)
        content = json.dumps(record, indent=1, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelFolderError(
            f"A model's record is JSON in UTF-8; this one's cannot be written ({error}). Mend "
            "the model's names, classes or 'about'."
        ) from error
    if len(content) > LARGEST_RECORD:
        raise ModelFolderError(
            f"A model's record is of {LARGEST_RECORD:,} bytes at most; this one has "
            f"{len(content):,}. Leave columns out, or train for fewer epochs."
        )
    return content


def _zipped(files: Mapping[str, bytes]) -> bytes:
    """Files in one, as they are: weights hardly become smaller by packing."""
    content = BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)
    return content.getvalue()


def _check_file(path: Path, *, force: bool) -> None:
    """Raise unless a model can be written into a file.

    Raises:
        ModelFolderError: there is something else, or a model and `force` is not given.
        OSError: its folder cannot be written to.
    """
    if path.is_dir():
        raise ModelFolderError(
            f"A model that ends in {ENDING} is a file; '{path}' is a folder. Name another."
        )
    if path.exists() and not force:
        raise ModelFolderError(
            f"'{path}' is there already. Name another file, or give --force (in Python force=True) "
            "to write over it."
        )
    if path.exists() and not _is_model(path):
        raise ModelFolderError(
            f"--force writes over a model, and '{path}' is none. Name another file."
        )
    _probe(path.parent)


def _is_model(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return RECORD in archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def _check_replaceable(folder: Path, *, force: bool) -> None:
    if not force:
        raise ModelFolderError(
            f"A model is written into an empty folder; '{folder}' holds files. Name another with "
            "-o, or give --force (in Python force=True) to write over the model in it."
        )
    if not (folder / RECORD).is_file():
        raise ModelFolderError(
            f"--force writes over a model, and '{folder}' holds none. Name another folder with -o."
        )


def _probe(folder: Path) -> None:
    """Raise OSError unless files can be made in a folder; leave nothing behind."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    finally:
        for path in made:
            with suppress(OSError):
                path.rmdir()


def _empty(
    wide: Sequence[Mapping[str, Any]], encoder: Encoder, target: Target
) -> list[InfiniteNetwork]:
    """Infinitely wide networks that have learned nothing yet."""
    views = [torch.from_numpy(view) for view in encoder.views]
    return [
        InfiniteNetwork(
            views[one["view"]], one["rows"], target.outputs, kernel_of(one.get("frequency"))
        )
        for one in wide
    ]


def _not_writable(folder: Path, error: Exception) -> ModelFolderError:
    return ModelFolderError(
        f"A model's folder must be one that can be written; '{folder}' is not ({reason(error)}). "
        "Name another with -o."
    )


def _format_of(saved: Saved) -> int:
    """The oldest format that has what a model has: so older versions read what they know."""
    if any("frequency" in one for one in saved.wide):
        return WAVES
    several = isinstance(saved.target, NumbersTarget | LabelsTarget)
    new = several or saved.encoder.sparse is not None or bool(saved.encoder.missing)
    return SEVERAL if new else FORMAT
