"""Models on disk: a folder, or one `.snn` file; read and checked, in NumPy and without any code."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import safetensors
from safetensors.numpy import load

from selfnorm.errors import ModelFolderError
from selfnorm.nn._widths import WEIGHTS as KINDS_OF_WEIGHTS
from selfnorm.nn._widths import Shape, hidden_widths
from selfnorm.tabular._blend import Blend
from selfnorm.tabular._container import (
    COMING,
    RECORD,
    WEIGHTS,
    Container,
    as_path,
    check_size,
    damaged,
    opened,
)
from selfnorm.tabular._interval import errors_of
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.encoding._records import is_finite, require
from selfnorm.tabular.encoding._target import Target
from selfnorm.tabular.encoding._targets import target_from_dict

FORMAT = 2
SEVERAL = 3  # the format of several outputs and of sparse rows, which older ones do not know
WAVES = 4  # that of infinitely many waves, likewise
LARGEST_RECORD = 2**28  # bytes; JSON takes several times that in memory
_READ = (
    1,
    FORMAT,
    SEVERAL,
    WAVES,
)  # 1 had single networks, and ensembles of which all count the same
_TENSOR_HEADER = 1000  # bytes, and more than a tensor has in the header of safetensors
_LAYER = 100  # bytes, and fewer than a layer has there
_NONSENSE = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


_WITHOUT_ROWS = (
    "The networks of infinite width, which hold the encoded training rows, were left out when the "
    "model was saved; metrics are those of the model with them."
)
_Shapes = dict[str, tuple[tuple[int, ...], type[np.floating]]]


class Saved(NamedTuple):
    """What a model on disk says, checked.

    Attributes:
        encoder: From columns to features.
        target: What the outputs stand for.
        architectures: Sizes of the networks of finite width, of each shape.
        wide: Of each infinitely wide network, which `view` it reads, and how many `rows` it holds;
            the `frequency` of one of waves.
        blend: How the networks become one prediction; None for a single one.
        about: How the model came to be.
        state: The arrays by their names: float32, but float64 of what infinite width has learned.
    """

    encoder: Encoder
    target: Target
    architectures: Sequence[Mapping[str, Any]]
    wide: Sequence[Mapping[str, Any]]
    blend: Blend | None
    about: Mapping[str, Any]
    state: Mapping[str, np.ndarray]

    def without_rows(self) -> "Saved":
        """The same without networks of infinite width, as `TabularModel.without_rows` tells."""
        if not self.wide or self.blend is None:
            return self
        finite = self.blend.weights[: -len(self.wide)]
        total = sum(finite)
        blend = Blend.equal(len(finite))
        if total:
            blend = Blend(tuple(one / total for one in finite), self.blend.sharpness)
        about = {**self.about, "errors": None, "without_rows": _WITHOUT_ROWS}
        state = {n: one for n, one in self.state.items() if not n.startswith("infinite.")}
        return self._replace(wide=[], blend=blend, about=about, state=state)


def read_model(path: str | Path) -> Saved:
    """Read a model folder, or a `.snn` file.

    Sizes are looked at before anything is read: a damaged model takes no memory that it would not
    take if it were right. Nothing is unpacked onto the disk.

    Raises:
        ModelFolderError: it is missing, damaged, or of another version.
    """
    path = as_path(path)
    files = opened(path)
    content = files.read(RECORD, 0, LARGEST_RECORD)
    try:
        record = json.loads(content)
        version = record["format"]
    except _NONSENSE as error:
        raise damaged(files.place(RECORD), error) from error
    if version not in _READ:
        raise ModelFolderError(
            f"This version of selfnorm reads model folders of formats 1 to 4; '{path}' is of "
            f"format {repr(version)[:40]}. Use the selfnorm that wrote it, or fit it again."
        )
    try:
        require(record.pop("sha256") == digest_of(record), "its SHA-256 is not the one it holds")
        encoder = Encoder.from_dict(record["encoder"])
        target = target_from_dict(record["target"])
        about, digest = record["about"], record["weights_sha256"]
        finite = _architectures(record)
        require(isinstance(about, dict), "'about' is not a record")
        errors_of(about)
        wide = record["infinite"] if version != 1 else []
        _check_infinite(wide, finite, encoder)
        blend = _blend(record, sum(sizes["n_estimators"] for sizes in finite), len(wide))
    except _NONSENSE as error:
        raise damaged(files.place(RECORD), error) from error
    place = files.place(WEIGHTS)
    sizes = [size for name in (WEIGHTS, COMING) if (size := files.size(name)) is not None]
    size = max(sizes, default=0)
    check_size(place, size if sizes else None, 0, size)
    try:
        # A network of other sizes than the weights' could fill the memory.
        shapes = _shapes(encoder, target, finite, wide, size)
        weights = _weights(files, digest, shapes)
        state = {_named(name): array for name, array in load(weights).items()}
        _check_state(state, shapes)
    except (safetensors.SafetensorError, *_NONSENSE) as error:
        raise damaged(place, error) from error
    return Saved(encoder, target, finite, wide, blend, about, state)


def _weights(files: Container, digest: str, shapes: _Shapes) -> bytes:
    """The weights that a record tells of: where a saving was cut short, those that were to come."""
    least = sum(math.prod(shape) * np.dtype(kind).itemsize for shape, kind in shapes.values())
    most = least + _TENSOR_HEADER * (len(shapes) + 1)

    def signed(name: str) -> bytes:
        content = files.read(name, least, most)
        if hashlib.sha256(content).hexdigest() != digest:
            error = ValueError(f"its SHA-256 is not the one in {RECORD}")
            raise damaged(files.place(name), error)
        return content

    try:
        return signed(WEIGHTS)
    except ModelFolderError:
        for name in (COMING, WEIGHTS):  # and by now these may be those
            with suppress(ModelFolderError):
                return signed(name)
        raise


def digest_of(record: Mapping[str, Any]) -> str:
    """The SHA-256 of what a record says, however it is written down."""
    content = json.dumps(record, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()


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


def _check_sizes(sizes: Mapping[str, Any]) -> None:
    """Raise ValueError unless `Architecture` can take the sizes."""
    names = {"width", "depth", "shape", "dropout", "weights", "n_estimators"}
    require(set(sizes) == names, "the architecture lacks a size")
    for name in ("width", "depth", "n_estimators"):
        require(type(sizes[name]) is int and sizes[name] > 0, f"{name} is no size")
    require(sizes["shape"] in get_args(Shape), "the shape is unknown")
    require(KINDS_OF_WEIGHTS.holds(sizes["weights"]), "the kind of weights is unknown")
    require(is_finite(sizes["dropout"]) and 0 <= sizes["dropout"] <= 1, "dropout is no share")


def _check_infinite(wide: Any, finite: Sequence[Mapping[str, Any]], encoder: Encoder) -> None:
    """Raise ValueError unless infinitely wide networks are as `_infinite` tells of them."""
    require(isinstance(wide, list), "the infinitely wide networks are a list")
    require(len(wide) <= len(encoder.views), "each view has one of infinite width")
    require(not wide or finite[0]["n_estimators"] > 1, "a single network is joined by none")
    for one in wide:
        known = set(one) - {"frequency"}
        require(known == {"view", "rows"}, "an infinitely wide network has a view and rows")
        require(type(one["view"]) is int and 0 <= one["view"] < len(encoder.views), "no such view")
        require(type(one["rows"]) is int and one["rows"] > 0, "rows are no size")
        frequency = one.get("frequency", 1.0)
        require(is_finite(frequency) and frequency > 0, "a frequency is above 0")
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
    wide: Sequence[Mapping[str, Any]],
    size: int,
) -> _Shapes:
    """The tensors of the network that a record speaks of, for a file of so many bytes.

    Raises:
        ValueError: the file is too small for its layers.
    """
    shapes: _Shapes = {}
    deep = sum(sizes["depth"] for sizes in finite)
    require(deep * _LAYER < size, f"its {size:,} bytes are too few for the networks' depth")
    for at, sizes in enumerate(finite):
        for name in ("width", "n_estimators"):
            require(sizes[name] < size, f"its {size:,} bytes are too few for the network's {name}")
        depth, members = sizes["depth"], sizes["n_estimators"]
        hidden = hidden_widths(sizes["width"], depth, sizes["shape"], target.outputs)
        widths = [len(encoder.features), *hidden, target.outputs]
        names = [*(f"linear{number}" for number in range(1, depth + 1)), "output"]
        first, prefix = ((members,), f"networks.{at}.") if members > 1 else ((), "")
        for name, fan_in, units in zip(names, widths[:-1], widths[1:], strict=True):
            shapes[f"{prefix}{name}.weight"] = (*first, units, fan_in), np.float32
            shapes[f"{prefix}{name}.bias"] = (*first, units), np.float32
    for at, one in enumerate(wide):
        rows, inputs = one["rows"], int(encoder.views[one["view"]].sum())
        require(rows < size, f"its {size:,} bytes are too few for its rows")
        shapes |= {
            f"infinite.{at}.rows": ((rows, inputs), np.float32),
            f"infinite.{at}.coefficients": ((rows, target.outputs), np.float64),
            f"infinite.{at}.offset": ((target.outputs,), np.float64),
        }
    return shapes


def _check_state(state: Mapping[str, np.ndarray], shapes: _Shapes) -> None:
    """Raise ValueError unless the tensors are those of the network."""
    require(len(state) == len(shapes), f"it holds {len(state)} tensors, and not {len(shapes)}")
    for name, (shape, dtype) in shapes.items():
        tensor = state[name]
        require(tensor.shape == shape, f"{name} is of shape {tensor.shape}, not {shape}")
        require(tensor.dtype == dtype, f"{name} is {tensor.dtype}")
        require(bool(np.isfinite(tensor).all()), f"{name} is not finite")
