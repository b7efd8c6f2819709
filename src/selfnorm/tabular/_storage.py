"""Model folders: safetensors for the weights, JSON for the rest; loading never runs code."""

import hashlib
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import safetensors
import torch
from safetensors.torch import load, save
from torch import Tensor

from selfnorm._files import write_file
from selfnorm.errors import ModelFolderError
from selfnorm.nn import Shape, hidden_widths
from selfnorm.nn._widths import WEIGHTS
from selfnorm.tabular._blend import Blend
from selfnorm.tabular._ensemble import Ensemble
from selfnorm.tabular._infinite import InfiniteNetwork
from selfnorm.tabular._interval import errors_of
from selfnorm.tabular._model import TabularModel, build_network
from selfnorm.tabular._settings import Architecture
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.encoding._records import is_finite, require
from selfnorm.tabular.encoding._target import Target, target_from_dict, target_to_dict

FORMAT = 2
_READ = (1, FORMAT)  # 1 had single networks, and ensembles of which all count the same
_LARGEST_RECORD = 2**28  # bytes; JSON takes several times that in memory
_TENSOR_HEADER = 1000  # bytes, and more than a tensor has in the header of safetensors
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


def save_model(model: TabularModel, folder: str | Path, *, force: bool = False) -> None:
    """Write a model folder: each file under a temporary name, then renamed.

    The weights come first, and the record holds their SHA-256, so that a folder of which only one
    file was replaced is told when it is loaded. The record holds its own, too.

    Args:
        model: The model.
        folder: Where to; it is made if needed.
        force: Write over a model that is there. Other files stay.

    Raises:
        ModelFolderError: the folder cannot be written to, or is not empty; or the model holds
            what JSON in UTF-8 does not.
    """
    folder = _path(folder)
    check_output(folder, force=force)
    state = {name: value.contiguous() for name, value in model.network.state_dict().items()}
    weights = save(state)
    record = {
        "format": FORMAT,
        "about": dict(model.about),
        "target": target_to_dict(model.target),
        "encoder": model.encoder.to_dict(),
        "architectures": [vars(one) for one in model.architectures],
        "blend": None if model.blend is None else asdict(model.blend),
        "infinite": _infinite(model),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    try:
        record["sha256"] = _digest(record)
        content = json.dumps(record, indent=1, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelFolderError(
            f"A model's record is JSON in UTF-8; this one's cannot be written ({error}). Mend "
            "the model's names, classes or 'about'."
        ) from error
    if len(content) > _LARGEST_RECORD:
        raise ModelFolderError(
            f"A model's record is of {_LARGEST_RECORD:,} bytes at most; this one has "
            f"{len(content):,}. Leave columns out, or train for fewer epochs."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / _WEIGHTS, weights)
        write_file(folder / _RECORD, content)
    except OSError as error:
        raise _not_writable(folder, error) from error


def load_model(folder: str | Path) -> TabularModel:
    """Read a model folder; the network is in eval mode. No code of the folder is run.

    Sizes are looked at before a file is read: a damaged one takes no memory that its model would
    not.

    Raises:
        ModelFolderError: the folder is missing, damaged, or of another version.
    """
    folder = _path(folder)
    record_file, weights_file = folder / _RECORD, folder / _WEIGHTS
    content = _read(record_file, 0, _LARGEST_RECORD)
    try:
        record = json.loads(content)
        version = record["format"]
    except _NONSENSE as error:
        raise _damaged(record_file, error) from error
    if version not in _READ:
        raise ModelFolderError(
            f"This version of selfnorm reads model folders of formats 1 and 2; '{folder}' is of "
            f"format {repr(version)[:40]}. Use the selfnorm that wrote it, or fit it again."
        )
    try:
        require(record.pop("sha256") == _digest(record), "its SHA-256 is not the one it holds")
        encoder = Encoder.from_dict(record["encoder"])
        target = target_from_dict(record["target"])
        about, digest = record["about"], record["weights_sha256"]
        finite = _architectures(record)
        require(isinstance(about, dict), "'about' is not a record")
        errors_of(about)
        wide = record["infinite"] if version == FORMAT else []
        _check_infinite(wide, finite, encoder)
        blend = _blend(record, sum(sizes["n_estimators"] for sizes in finite), len(wide))
    except _NONSENSE as error:
        raise _damaged(record_file, error) from error
    try:
        # A network of other sizes than the weights' could fill the memory.
        shapes = _shapes(encoder, target, finite, wide, _size(weights_file))
        least = sum(math.prod(shape) * dtype.itemsize for shape, dtype in shapes.values())
        weights = _read(weights_file, least, least + _TENSOR_HEADER * (len(shapes) + 1))
        same = hashlib.sha256(weights).hexdigest() == digest
        require(same, f"its SHA-256 is not the one in {_RECORD}")
        state = {_named(name): tensor for name, tensor in load(weights).items()}
        _check_state(state, shapes)
    except (safetensors.SafetensorError, *_NONSENSE) as error:
        raise _damaged(weights_file, error) from error
    architectures = tuple(Architecture(**sizes) for sizes in finite)
    networks = [build_network(encoder, target, one, torch.Generator()) for one in architectures]
    network = networks[0] if blend is None else Ensemble(networks, _empty(wide, encoder, target))
    network.load_state_dict(state)
    return TabularModel(encoder, target, architectures, network.eval(), blend, about)


def _digest(record: Mapping[str, Any]) -> str:
    """The SHA-256 of what a record says, however it is written down."""
    content = json.dumps(record, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()


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
            "-o, or give --force (in Python force=True) to write over the model in it."
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


def _read(path: Path, least: int, most: int) -> bytes:
    """A file's content, if it has so many bytes."""
    size = _size(path)
    if not least <= size <= most:
        raise _damaged(path, ValueError(f"it has {size:,} bytes, and not {least:,} to {most:,}"))
    try:
        with path.open("rb") as file:
            return file.read(size)
    except (OSError, MemoryError) as error:
        raise _not_readable(path, error) from error


def _size(path: Path) -> int:
    """A file's size in bytes."""
    try:
        if path.is_file():
            return path.stat().st_size
    except (OSError, ValueError) as error:
        raise _not_readable(path, error) from error
    raise ModelFolderError(
        f"A model folder holds {_RECORD} and {_WEIGHTS}; there is no '{path}'. Name a folder that "
        "`selfnorm fit` wrote."
    )


def _architectures(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The sizes of a model's networks of finite width; older folders have one shape, or tell less.

    Raises:
        ValueError: they are not as `Architecture` can take them.
    """
    saved = record["architectures"] if "architectures" in record else [record["architecture"]]
    require(isinstance(saved, list) and len(saved) > 0, "there is an architecture or more")
    found = [{"weights": "lecun", "n_estimators": 1} | sizes for sizes in saved]
    for sizes in found:
        _check_sizes(sizes)
        require(len(found) == 1 or sizes["n_estimators"] > 1, "a single network is joined by none")
    return found


def _named(tensor: str) -> str:
    """A tensor's name; in older folders networks of one shape are `network`."""
    return tensor.replace("network.", "networks.0.", 1) if tensor.startswith("network.") else tensor


def _empty(
    wide: Sequence[Mapping[str, int]], encoder: Encoder, target: Target
) -> list[InfiniteNetwork]:
    """Infinitely wide networks that have learned nothing yet."""
    views = [torch.from_numpy(view) for view in encoder.views]
    return [InfiniteNetwork(views[one["view"]], one["rows"], target.outputs) for one in wide]


def _check_sizes(sizes: Mapping[str, Any]) -> None:
    """Raise ValueError unless `Architecture` can take the sizes."""
    names = {"width", "depth", "shape", "dropout", "weights", "n_estimators"}
    require(set(sizes) == names, "the architecture lacks a size")
    for name in ("width", "depth", "n_estimators"):
        require(type(sizes[name]) is int and sizes[name] > 0, f"{name} is no size")
    require(sizes["shape"] in get_args(Shape), "the shape is unknown")
    require(WEIGHTS.holds(sizes["weights"]), "the kind of weights is unknown")
    require(is_finite(sizes["dropout"]) and 0 <= sizes["dropout"] <= 1, "dropout is no share")


def _infinite(model: TabularModel) -> list[dict[str, int]]:
    """The infinitely wide networks of a model: which view of the rows each reads, and how many."""
    if not isinstance(model.network, Ensemble):
        return []
    views = [view.tolist() for view in model.encoder.views]
    return [
        {"view": views.index(one.reads.tolist()), "rows": len(one.rows)}
        for one in model.network.joined
    ]


def _check_infinite(wide: Any, finite: Sequence[Mapping[str, Any]], encoder: Encoder) -> None:
    """Raise ValueError unless infinitely wide networks are as `_infinite` tells of them."""
    require(isinstance(wide, list), "the infinitely wide networks are a list")
    require(not wide or finite[0]["n_estimators"] > 1, "a single network is joined by none")
    for one in wide:
        require(set(one) == {"view", "rows"}, "an infinitely wide network has a view and rows")
        require(type(one["view"]) is int and 0 <= one["view"] < len(encoder.views), "no such view")
        require(type(one["rows"]) is int and one["rows"] > 0, "rows are no size")
    require(len({one["rows"] for one in wide}) <= 1, "all learn from the same rows")


def _blend(record: Mapping[str, Any], members: int, wide: int) -> Blend | None:
    """How networks become one prediction; None for a single one."""
    if members == 1:
        return None
    if record["format"] == 1:
        return Blend.equal(members)
    saved = record["blend"]
    blend = Blend(tuple(saved["weights"]), saved["sharpness"])
    require(len(blend.weights) == members + wide, "each network has its weight")
    return blend


def _shapes(
    encoder: Encoder,
    target: Target,
    finite: Sequence[Mapping[str, Any]],
    wide: Sequence[Mapping[str, int]],
    size: int,
) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """The tensors of the network that a record speaks of, for a file of so many bytes.

    Raises:
        ValueError: the file is too small for its layers.
    """
    shapes: dict[str, tuple[tuple[int, ...], torch.dtype]] = {}
    for at, sizes in enumerate(finite):
        for name in ("depth", "width", "n_estimators"):
            require(sizes[name] < size, f"its {size:,} bytes are too few for the network's {name}")
        depth, members = sizes["depth"], sizes["n_estimators"]
        hidden = hidden_widths(sizes["width"], depth, sizes["shape"], target.outputs)
        widths = [len(encoder.features), *hidden, target.outputs]
        names = [*(f"linear{number}" for number in range(1, depth + 1)), "output"]
        first, prefix = ((members,), f"networks.{at}.") if members > 1 else ((), "")
        for name, fan_in, units in zip(names, widths[:-1], widths[1:], strict=True):
            shapes[f"{prefix}{name}.weight"] = (*first, units, fan_in), torch.float32
            shapes[f"{prefix}{name}.bias"] = (*first, units), torch.float32
    for at, one in enumerate(wide):
        rows, inputs = one["rows"], int(encoder.views[one["view"]].sum())
        require(rows < size, f"its {size:,} bytes are too few for its rows")
        shapes |= {
            f"infinite.{at}.rows": ((rows, inputs), torch.float32),
            f"infinite.{at}.coefficients": ((rows, target.outputs), torch.float64),
            f"infinite.{at}.offset": ((target.outputs,), torch.float64),
        }
    return shapes


def _check_state(
    state: Mapping[str, Tensor], shapes: Mapping[str, tuple[tuple[int, ...], torch.dtype]]
) -> None:
    """Raise ValueError unless the tensors are those of the network."""
    require(len(state) == len(shapes), f"it holds {len(state)} tensors, and not {len(shapes)}")
    for name, (shape, dtype) in shapes.items():
        tensor = state[name]
        found = tuple(tensor.shape)
        require(found == shape, f"{name} is of shape {found}, not {shape}")
        require(tensor.dtype == dtype, f"{name} is {tensor.dtype}")
        require(bool(tensor.isfinite().all()), f"{name} is not finite")


def _not_readable(path: Path, error: Exception) -> ModelFolderError:
    return ModelFolderError(
        f"A model's files must be readable; '{path}' is not ({_reason(error)}). Name a folder "
        "that `selfnorm fit` wrote."
    )


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
