"""Model folders: safetensors for the weights, JSON for the rest; loading never runs code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load, save

from selfnorm._files import write_file
from selfnorm.errors import ModelFolderError
from selfnorm.nn import MLP
from selfnorm.tabular._encode import Encoder
from selfnorm.tabular._model import Architecture, TabularModel, build_network
from selfnorm.tabular._target import target_from_dict, target_to_dict

FORMAT = 1
_WEIGHTS = "model.safetensors"
_RECORD = "model.json"


def check_output(folder: Path, *, force: bool) -> None:
    """Raise if writing into a folder would write over something.

    Raises:
        ModelFolderError: the path is a file, or the folder is not empty and `force` is not given.
    """
    if folder.exists() and not folder.is_dir():
        raise ModelFolderError(f"A model is a folder; '{folder}' is a file. Name another with -o.")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise ModelFolderError(
            f"A model is written into an empty folder; '{folder}' holds files. Name another with "
            "-o, or give --force to write over the model in it."
        )


def save_model(model: TabularModel, folder: Path, *, about: Mapping[str, Any]) -> None:
    """Write a model folder: each file under a temporary name, then renamed.

    Args:
        model: The model.
        folder: Where to; it is made if needed. Files of the same names are replaced.
        about: What else to record, such as versions and metrics; must be valid JSON.
    """
    weights = {name: value.contiguous() for name, value in model.network.state_dict().items()}
    record = {
        "format": FORMAT,
        "about": dict(about),
        "target": target_to_dict(model.target),
        "encoder": model.encoder.to_dict(),
        "architecture": vars(model.architecture),
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / _WEIGHTS, save(weights))
    write_file(folder / _RECORD, json.dumps(record, indent=1, ensure_ascii=False).encode())


def load_model(folder: Path) -> tuple[TabularModel, Mapping[str, Any]]:
    """Read a model folder; returns the model, in eval mode, and what was recorded about it.

    Raises:
        ModelFolderError: the folder is missing, damaged, or of another version.
    """
    for name in (_RECORD, _WEIGHTS):
        if not (folder / name).is_file():
            raise ModelFolderError(
                f"A model folder holds {_RECORD} and {_WEIGHTS}; there is no '{folder / name}'. "
                "Name a folder that `selfnorm fit` wrote."
            )
    try:
        record = json.loads((folder / _RECORD).read_bytes())
        version = record["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(folder / _RECORD, error) from error
    if version != FORMAT:
        raise ModelFolderError(
            f"This version of selfnorm reads model folders of format {FORMAT}; '{folder}' is of "
            f"format {version}. Use the selfnorm that wrote it, or fit it again."
        )
    try:
        encoder = Encoder.from_dict(record["encoder"])
        target = target_from_dict(record["target"])
        architecture = Architecture(**record["architecture"])
        network = build_network(encoder, target, architecture, torch.Generator())
        about = record["about"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(folder / _RECORD, error) from error
    _load_weights(network, folder / _WEIGHTS)
    return TabularModel(encoder, target, architecture, network.eval()), about


def _load_weights(network: MLP, path: Path) -> None:
    try:
        network.load_state_dict(load(path.read_bytes()))
    except (safetensors.SafetensorError, RuntimeError, ValueError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ModelFolderError:
    reason = str(error).splitlines()[0].rstrip(".:")
    return ModelFolderError(
        f"A model folder must be as `selfnorm fit` wrote it; '{path}' is damaged ({reason}). Fit "
        "the model again, or restore the file."
    )
