"""What a call of a Keras layer or operation is: its role, its weights, what it sums."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np

from selfnorm.keras._untyped import keras
from selfnorm.keras.trace import _sums
from selfnorm.keras.trace._calls import Call
from selfnorm.recording import Weights
from selfnorm.recording._matrices import weights_of
from selfnorm.theory._types import FloatArray

layers = keras.layers
Summed = Callable[[FloatArray], tuple[float, float]]


@dataclass(frozen=True)
class Matrix:
    """A weight as the theory sees it.

    Attributes:
        name: Of the layer's variable.
        variable: Where it stands.
        arrange: Brings it into the order units, inputs, window.
        groups: How many matrices lie below each other.
        steps: Of a transposed convolution: every how many taps reach one output.
        others: How many more terms a unit sums, that other weights multiply.
    """

    name: str
    variable: Any
    arrange: Callable[[FloatArray], FloatArray]
    groups: int = 1
    steps: tuple[int, ...] = ()
    others: int = 0

    def weights(self, module: str) -> Weights:
        """Its figures now."""
        values = keras.ops.convert_to_numpy(keras.ops.cast(self.variable, "float32"))
        matrix = self.arrange(cast("FloatArray", values))
        found = weights_of(f"{module}/{self.name}".lstrip("/"), matrix, self.groups, self.steps)
        found = replace(found, frozen=not self.variable.trainable)
        if not self.others:
            return found
        terms = found.fan_in + self.others
        return replace(found, fan_in=terms, tau=found.tau * terms / found.fan_in)


@dataclass(frozen=True)
class Site:
    """What is known of a call before it is run.

    Attributes:
        role: As in `recording.Layer`; "" for what keeps moments and is passed over.
        kind: Class of the layer, or `name()` of an operation.
        name: What to call it.
        activation: As in `recording.Layer`, as are settings.
        matrices: Its weights.
        bias: What it adds to each unit.
        summed: Mean square of what its units sum, and share of padded zeros, by what it reads.
        channels_first: Whether its units are counted by axis 1.
    """

    role: str
    kind: str
    name: str
    activation: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    matrices: tuple[Matrix, ...] = ()
    bias: Any = None
    summed: Summed | None = None
    channels_first: bool = False

    @property
    def module(self) -> str:
        """The layer that it is, or that calls it."""
        return self.name.rpartition("/")[0] if self.name.endswith("()") else self.name


def named(place: str, function: str) -> str:
    """A function called in a layer."""
    return f"{place}/{function}()".lstrip("/")


def site_of(call: Call) -> Site:
    """Of a call that is no function of single numbers."""
    operation = call.operation
    if isinstance(operation, layers.Layer):
        return _of_layer(operation, call.name)
    return _of_operation(call)


def is_dropout(call: Call) -> bool:
    """Whether a call drops units in training."""
    operation = call.operation
    if not isinstance(operation, layers.Layer):
        return False
    return "p" in _of_layer(operation, call.name).settings


def _of_layer(layer: Any, name: str) -> Site:
    kind = type(layer).__name__
    weighs = weighted(layer, name)
    if weighs is not None:
        return weighs
    own = getattr(layer, "selfnorm_role", "")
    if own:
        settings = {"p": float(layer.rate)} if hasattr(layer, "rate") else {}
        settings |= {"form": layer.form} if layer.form is not None else {}
        return Site(own, kind, name, "selu", settings)
    for kinds, role in _ROLES:
        if isinstance(layer, kinds):
            return Site(role, kind, name, "", _settings(layer, role))
    return Site("unknown", kind, name)


_BY_NAME = {
    "normalization": "BatchNormalization LayerNormalization GroupNormalization RMSNormalization "
    "UnitNormalization",
    "alpha dropout": "AlphaDropout",
    "dropout": "Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D GaussianDropout",
    "addition": "Add Subtract",
    "product": "Multiply Dot",
    "concatenation": "Concatenate",
    "pooling": "AveragePooling1D AveragePooling2D AveragePooling3D MaxPooling1D MaxPooling2D "
    "MaxPooling3D GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D "
    "GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D Average Maximum Minimum "
    "AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D "
    "AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D",
    "scale": "Normalization Rescaling",
    "padding": "ZeroPadding1D ZeroPadding2D ZeroPadding3D",
    "attention": "MultiHeadAttention GroupQueryAttention Attention AdditiveAttention",
    "recurrent": "RNN Bidirectional",
    "": "Flatten Reshape Permute RepeatVector Cropping1D Cropping2D Cropping3D UpSampling1D "
    "UpSampling2D UpSampling3D Identity InputLayer Masking ActivityRegularization",
}
_ROLES = tuple(
    (tuple(getattr(layers, name) for name in names.split() if hasattr(layers, name)), role)
    for role, names in _BY_NAME.items()
)
PRODUCTS = frozenset({"Matmul", "Dot"})
_OPERATIONS = {
    "aggregation": "SegmentSum",
    "pooling": "Mean Sum Max Min Prod Var Std Amax Amin Average MaxPool AveragePool Logsumexp",
    "concatenation": "Concatenate Stack Hstack Vstack",
    "product": "Matmul Dot Tensordot Einsum Multiply Divide TrueDivide",
    "addition": "Add Subtract",
    "normalization": "Normalize LayerNormalization RMSNormalization BatchNormalization",
    "attention": "DotProductAttention",
    "padding": "Pad",
    "": "Reshape Transpose Squeeze ExpandDims GetItem Split Flip Roll Repeat Tile BroadcastTo "
    "Ravel Moveaxis Swapaxes Take TakeAlongAxis Slice Identity StopGradient Copy Shape Unstack "
    "Cast ArraySplit Resize Flatten Diagonal Tril Triu Gather Dtype",
}
_ROLE_BY_OPERATION = {name: role for role, names in _OPERATIONS.items() for name in names.split()}


def _settings(layer: Any, role: str) -> dict[str, Any]:
    if role in {"dropout", "alpha dropout"}:
        return {"p": float(layer.rate)}
    scale = getattr(layer, "scale", None)
    if isinstance(layer, layers.Rescaling) and isinstance(scale, int | float) and not layer.offset:
        return {"factor": float(scale), "by": "number"}
    return {}


def _of_operation(call: Call) -> Site:
    kind = type(call.operation).__name__
    function = getattr(call.operation, "__name__", "") or _snake(kind)
    name = named(call.name, function)
    product = _product(call, kind, name)
    if product is not None:
        return product
    if kind in {"Softmax", "LogSoftmax"} or function in {"softmax", "log_softmax"}:
        return Site("activation", f"{function}()", name, function)
    role = "product" if function == "glu" else _ROLE_BY_OPERATION.get(kind, "unknown")
    return Site(role, f"{function}()", name)


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def _product(call: Call, kind: str, name: str) -> Site | None:
    """`keras.ops.matmul` of a value and a weight."""
    if kind not in PRODUCTS or len(call.given) != 1 or len(call.args) != 2:
        return None
    held = next((a for a in call.args if a not in call.given), None)
    if len(getattr(held, "shape", ())) != 2:
        return None
    last = call.args[0] in call.given
    if not last and not hasattr(held, "trainable"):  # a graph's matrix, which nobody learns
        return Site("aggregation", f"{_snake(kind)}()", name)
    held = held if hasattr(held, "trainable") else _Constant(held)
    where = str(getattr(held, "name", "weight"))
    matrix = Matrix(where, held, np.transpose if last else np.asarray)
    return Site("linear", f"{_snake(kind)}()", name, matrices=(matrix,), summed=_sums.plain)


class _Constant:
    """An array in the place of a variable."""

    def __init__(self, value: Any) -> None:
        self.value, self.trainable = value, False

    def __array__(self, *_: Any, **__: Any) -> Any:
        return keras.ops.convert_to_numpy(self.value)


def weighted(layer: Any, name: str) -> Site | None:
    """Layers that multiply by weights; None for others."""
    kind = type(layer).__name__
    bias = getattr(layer, "bias", None)
    if isinstance(layer, layers.Dense):
        matrix = Matrix("kernel", layer.kernel, np.transpose)
        return Site("linear", kind, name, "", {}, (matrix,), bias, _sums.plain)
    if isinstance(layer, layers.EinsumDense):
        arrange = _sums.einsum_matrix(layer.equation)
        if arrange is None:
            return None
        matrix = Matrix("kernel", layer.kernel, arrange)
        return Site("linear", kind, name, "", {}, (matrix,), None, _sums.plain)
    if isinstance(layer, layers.Embedding):
        matrix = Matrix("embeddings", layer.embeddings, np.asarray)
        return Site("embedding", kind, name, matrices=(matrix,))
    if isinstance(layer, layers.LSTM | layers.GRU | layers.SimpleRNN):
        cell = layer.cell
        inputs, state = cell.kernel.shape[0], cell.recurrent_kernel.shape[0]
        gates = cell.kernel.shape[1] // state
        found = (
            Matrix("kernel", cell.kernel, np.transpose, gates, others=state),
            Matrix("recurrent_kernel", cell.recurrent_kernel, np.transpose, gates, others=inputs),
        )
        return Site("recurrent", kind, name, "", {}, found)
    return _convolution(layer, kind, name, bias)


def _convolution(layer: Any, kind: str, name: str, bias: Any) -> Site | None:
    if not hasattr(layer, "kernel_size") or hasattr(layer, "cell") or "Separable" in kind:
        return None
    first = layer.data_format == "channels_first"
    if "Depthwise" in kind:
        matrix = Matrix("kernel", layer.kernel, _depthwise, groups=layer.kernel.shape[-2])
    elif "Transpose" in kind:
        steps = _sums.steps_of(layer)
        matrix = Matrix("kernel", layer.kernel, _transposed, steps=steps)
    else:
        matrix = Matrix("kernel", layer.kernel, _usual, groups=layer.groups)
    summed = _sums.of_convolution(layer)
    return Site("linear", kind, name, "", {}, (matrix,), bias, summed, first)


def _usual(kernel: FloatArray) -> FloatArray:
    return np.moveaxis(kernel, (-1, -2), (0, 1))


def _transposed(kernel: FloatArray) -> FloatArray:
    return np.moveaxis(kernel, (-2, -1), (0, 1))


def _depthwise(kernel: FloatArray) -> FloatArray:
    *window, inputs, times = kernel.shape
    return np.moveaxis(kernel, (-2, -1), (0, 1)).reshape(inputs * times, 1, *window)
