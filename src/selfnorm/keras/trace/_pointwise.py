"""Functions of each number by itself: which calls are one, and what a run of them does."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from selfnorm.keras._untyped import keras
from selfnorm.keras.trace._calls import Call, Token, training_of
from selfnorm.keras.trace._site import Site, named
from selfnorm.recording._curve import PLACES, Curve, curve_through
from selfnorm.recording._layer import CURVE

_NAMES = (
    "Selu Elu Relu Relu6 ReLU LeakyRelu Gelu Silu Sigmoid Tanh Softplus Softsign HardSigmoid "
    "HardSilu HardTanh LogSigmoid Mish Celu Threshold TanhShrink SoftShrink HardShrink SquarePlus "
    "SparsePlus SparseSigmoid Exp Expm1 Exp2 Log Log1p Log2 Log10 Sqrt Rsqrt Square Power Absolute "
    "Abs Negative Sign Sin Cos Sinh Cosh Tan Arctan Arcsinh Erf Clip Maximum Minimum Where Greater "
    "GreaterEqual Less LessEqual Equal NotEqual LogicalAnd LogicalOr LogicalNot Add Subtract "
    "Multiply Divide TrueDivide Reciprocal Cast Round Floor Ceil Heaviside Logaddexp NanToNum"
)
_OPERATIONS = frozenset(_NAMES.split())
_ACTIVATIONS = tuple(
    getattr(keras.layers, name) for name in ("Activation", "ReLU", "ELU", "LeakyReLU", "Lambda")
)


def is_pointwise(call: Call) -> bool:
    """Whether it may be one, as long as all else that it reads are single numbers."""
    operation = call.operation
    if isinstance(operation, keras.layers.Layer):
        own = isinstance(operation, _ACTIVATIONS)
        return own and getattr(operation, "activation", None) is not keras.activations.softmax
    if type(operation).__name__ in _OPERATIONS:
        return all(
            np.ndim(leaf) == 0
            for leaf in keras.tree.flatten((call.args, call.kwargs))
            if not isinstance(leaf, Token | str) and leaf is not None
        )
    softened = (keras.activations.softmax, keras.activations.log_softmax, keras.activations.glu)
    return operation not in softened and not isinstance(operation, keras.Operation)


def evaluated(calls: Sequence[Call], known: dict[Token, Any]) -> dict[Token, Any]:
    """The values of what the calls give, one after the other."""
    for call in calls:
        run(call, known)
    return known


def run(call: Call, known: dict[Token, Any], *, training: bool = True) -> None:
    """One call; what it gives stands among what is known afterwards."""
    args, kwargs = keras.tree.map_structure(
        lambda leaf: known[leaf] if isinstance(leaf, Token) else leaf, (call.args, call.kwargs)
    )
    found = call.run(*args, **(kwargs | training_of(call.operation, kwargs, training)))
    known.update(zip(call.outputs, keras.tree.flatten(found), strict=True))


def site_of_chain(calls: Sequence[Call], base: Token, end: Token) -> Site | None:
    """The activation, or the factor, that a run of calls is; None if it changes nothing."""
    last = calls[-1]
    layer = isinstance(last.operation, keras.layers.Layer)
    name = getattr(last.operation, "__name__", "") or type(last.operation).__name__
    kind = name if layer else f"{name.lower()}()"
    where = last.name if layer else named(last.name, name.lower())
    curve = _curve(calls, base, end)
    if curve is None:
        return Site("unknown", kind, where)
    if curve.line is not None:
        factor, offset = curve.line
        if abs(factor - 1) < 1e-6 and not offset:
            return None
        settings: dict[str, Any] = {"by": "number"} | ({} if offset else {"factor": factor})
        return Site("scale", kind, where, "", settings)
    settings = {} if curve.values is None else {CURVE: curve.values}
    settings |= {"inplace": False, "ours": False, "keeps_output": False}
    called = curve.name or name.lower()
    if not layer:
        kind, where = f"{called}()", named(last.name, called)
    return Site("activation", kind, where, called, settings)


def _curve(calls: Sequence[Call], base: Token, end: Token) -> Curve | None:
    """What a run does at some places; None if it is not a function of single numbers."""
    grid = np.ascontiguousarray(PLACES)
    try:
        values = [_at(calls, base, end, part) for part in (grid, grid[::-1])]
    except Exception:
        return None
    alike = values[0].shape == grid.shape and (values[0] == values[1][::-1]).all()
    return curve_through(grid.astype(np.float64), values[0]) if alike else None


def _at(calls: Sequence[Call], base: Token, end: Token, places: Any) -> Any:
    """The values there, in the shape of a batch whose features are the places."""
    value = keras.ops.convert_to_tensor(np.array(places)[None], dtype="float32")
    with keras.StatelessScope():
        found = evaluated(calls, {base: value})[end]
    return np.asarray(keras.ops.convert_to_numpy(found), np.float64)[0]
