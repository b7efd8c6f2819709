"""Model folders: safetensors for the weights, JSON for the rest; loading never runs code."""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import safetensors
import torch
from safetensors.torch import load, save
from torch import Tensor

from selfnorm._files import write_file
from selfnorm.errors import ModelFolderError
from selfnorm.nn import Shape, hidden_widths
from selfnorm.tabular._model import TabularModel, build_network
from selfnorm.tabular._settings import Architecture
from selfnorm.tabular.encoding._columns import is_finite, require
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.encoding._target import Target, target_from_dict, target_to_dict

FORMAT = 1
_WEIGHTS = "model.safetensors"
_RECORD = "model.json"
_NONSENSE = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


def check_output(folder: str | Path, *, force: bool) -> None:
    """Raise unless a model can be written into a folder without harm to what is there.

    A file is made in the folder, which is made if needed, and all of it is removed again: what is
    wrong shows before training and not after.

    Raises:
        ModelFolderError: the path is a file or cannot be written to; or the folder is not empty
            and either `force` is not given or it holds no model.
    """
    folder = _path(folder)
    if not folder.parts:
        raise ModelFolderError("A model needs a folder with a name; none came. Name one with -o.")
    try:
        if folder.exists() and not folder.is_dir():
            raise ModelFolderError(
                f"A model is a folder; '{folder}' is a file. Name another with -o."
            )
        if folder.is_dir() and any(folder.iterdir()):
            _check_replaceable(folder, force=force)
        _probe(folder)
    except ModelFolderError:
        raise
    except (OSError, ValueError) as error:
        raise _not_writable(folder, error) from error


def save_model(model: TabularModel, folder: str | Path) -> None:
    """Write a model folder: each file under a temporary name, then renamed.

    The weights come first, and the record holds their SHA-256, so that a folder of which only one
    file was replaced is told when it is loaded.

    Args:
        model: The model.
        folder: Where to; it is made if needed. Files of the same names are replaced.

    Raises:
        ModelFolderError: the folder cannot be written to.
    """
    folder = _path(folder)
    state = {name: value.contiguous() for name, value in model.network.state_dict().items()}
    weights = save(state)
    record = {
        "format": FORMAT,
        "about": dict(model.about),
        "target": target_to_dict(model.target),
        "encoder": model.encoder.to_dict(),
        "architecture": vars(model.architecture),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    content = json.dumps(record, indent=1, ensure_ascii=False).encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / _WEIGHTS, weights)
        write_file(folder / _RECORD, content)
    except OSError as error:
        raise _not_writable(folder, error) from error


def load_model(folder: str | Path) -> TabularModel:
    """Read a model folder; the network is in eval mode. No code of the folder is run.

    Raises:
        ModelFolderError: the folder is missing, damaged, or of another version.
    """
    folder = _path(folder)
    record_file, weights_file = folder / _RECORD, folder / _WEIGHTS
    content, weights = _read(record_file), _read(weights_file)
    try:
        record = json.loads(content)
        version = record["format"]
    except _NONSENSE as error:
        raise _damaged(record_file, error) from error
    if version != FORMAT:
        raise ModelFolderError(
            f"This version of selfnorm reads model folders of format {FORMAT}; '{folder}' is of "
            f"format {repr(version)[:40]}. Use the selfnorm that wrote it, or fit it again."
        )
    try:
        encoder = Encoder.from_dict(record["encoder"])
        target = target_from_dict(record["target"])
        sizes, about, digest = record["architecture"], record["about"], record["weights_sha256"]
        _check_sizes(sizes)
        require(isinstance(about, dict), "'about' is not a record")
    except _NONSENSE as error:
        raise _damaged(record_file, error) from error
    try:
        same = hashlib.sha256(weights).hexdigest() == digest
        require(same, f"its SHA-256 is not the one in {_RECORD}")
        state = load(weights)
        _check_state(state, encoder, target, sizes)
    except (safetensors.SafetensorError, *_NONSENSE) as error:
        raise _damaged(weights_file, error) from error
    # Not before: a network of other sizes than the weights' could fill the memory.
    architecture = Architecture(**sizes)
    network = build_network(encoder, target, architecture, torch.Generator())
    network.load_state_dict(state)
    return TabularModel(encoder, target, architecture, network.eval(), about)


def _path(folder: str | Path) -> Path:
    if not isinstance(folder, str | Path):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ModelFolderError(
            f"A model's folder is a path or its text; got {folder!r}. Name the folder."
        )
    return Path(folder)


def _check_replaceable(folder: Path, *, force: bool) -> None:
    if not force:
        raise ModelFolderError(
            f"A model is written into an empty folder; '{folder}' holds files. Name another with "
            "-o, or give --force to write over the model in it."
        )
    if not (folder / _RECORD).is_file():
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


def _read(path: Path) -> bytes:
    try:
        if path.is_file():
            return path.read_bytes()
    except (OSError, ValueError) as error:
        raise ModelFolderError(
            f"A model's files must be readable; '{path}' is not ({_reason(error)}). Name a folder "
            "that `selfnorm fit` wrote."
        ) from error
    raise ModelFolderError(
        f"A model folder holds {_RECORD} and {_WEIGHTS}; there is no '{path}'. Name a folder that "
        "`selfnorm fit` wrote."
    )


def _check_sizes(sizes: Mapping[str, Any]) -> None:
    """Raise ValueError unless `Architecture` can take the sizes."""
    require(set(sizes) == {"width", "depth", "shape", "dropout"}, "the architecture lacks a size")
    for name in ("width", "depth"):
        require(type(sizes[name]) is int and sizes[name] > 0, f"{name} is no size")
    require(sizes["shape"] in get_args(Shape), "the shape is unknown")
    require(is_finite(sizes["dropout"]) and 0 <= sizes["dropout"] <= 1, "dropout is no share")


def _check_state(
    state: Mapping[str, Tensor], encoder: Encoder, target: Target, sizes: Mapping[str, Any]
) -> None:
    """Raise ValueError unless the tensors are those of the network that the record speaks of."""
    depth = sizes["depth"]
    require(len(state) == 2 * (depth + 1), f"{len(state)} tensors for {depth} hidden layers")
    hidden = hidden_widths(sizes["width"], depth, sizes["shape"], target.outputs)
    widths = [len(encoder.features), *hidden, target.outputs]
    names = [*(f"linear{number}" for number in range(1, depth + 1)), "output"]
    for name, fan_in, units in zip(names, widths[:-1], widths[1:], strict=True):
        for part, shape in (("weight", (units, fan_in)), ("bias", (units,))):
            tensor = state[f"{name}.{part}"]
            found = tuple(tensor.shape)
            require(found == shape, f"{name}.{part} is of shape {found}, not {shape}")
            require(tensor.dtype == torch.float32, f"{name}.{part} is {tensor.dtype}")
            require(bool(tensor.isfinite().all()), f"{name}.{part} is not finite")


def _not_writable(folder: Path, error: Exception) -> ModelFolderError:
    return ModelFolderError(
        f"A model's folder must be one that can be written; '{folder}' is not ({_reason(error)}). "
        "Name another with -o."
    )


def _damaged(path: Path, error: Exception) -> ModelFolderError:
    return ModelFolderError(
        f"A model folder must be as `selfnorm fit` wrote it; '{path}' is damaged "
        f"({_reason(error)}). Fit the model again, or restore the file."
    )


def _reason(error: Exception) -> str:
    """An error's message in one short line."""
    if isinstance(error, KeyError):
        return f"there is no {error}"
    told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (told.splitlines() or [type(error).__name__])[0][:200].rstrip(".:")
