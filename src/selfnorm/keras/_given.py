"""What is handed in: models of Keras, and arrays, as the plan of what a model does with them."""

import re
from typing import Any

import numpy as np

from selfnorm.errors import ArgumentError, UnsupportedError
from selfnorm.keras._untyped import keras
from selfnorm.keras.trace import Plan, calls_of, plan


def check_model(model: Any, does: str) -> None:
    """Raise for what is no model or layer of Keras."""
    if not isinstance(model, keras.layers.Layer):
        raise UnsupportedError(
            f"{does} a model or a layer of Keras; got {type(model).__name__}. Of another "
            "framework's see selfnorm.audit and selfnorm.jax.audit."
        )


def tensors(model: Any, x: Any) -> tuple[list[Any], Any]:
    """Inputs as tensors, flat, and symbolic ones in their structure."""
    flat = keras.tree.flatten(x)
    if not flat or any(np.size(leaf) == 0 for leaf in flat):
        raise ArgumentError(
            "inputs must hold at least one row; got none. Some hundred rows are best."
        )
    tensors = keras.tree.map_structure(_tensor, x)
    if not model.built:
        model(tensors)
    example = keras.tree.map_structure(
        lambda t: keras.KerasTensor(t.shape, keras.backend.standardize_dtype(t.dtype)), tensors
    )
    return keras.tree.flatten(tensors), example


def _tensor(leaf: Any) -> Any:
    """Floats in Keras's float type, as its models take them."""
    found = keras.ops.convert_to_tensor(leaf)
    floating = keras.backend.is_float_dtype(keras.backend.standardize_dtype(found.dtype))
    return keras.ops.cast(found, keras.config.floatx()) if floating else found


def followed(model: Any, example: Any) -> Plan:
    """What a model does with inputs like these symbolic ones."""
    try:
        calls = calls_of(model, example)
    except Exception as error:  # of code of the user's, on what it may not have been written for
        raise UnsupportedError(
            "selfnorm follows a model through layers and keras.ops; the call of "
            f"{type(model).__name__} raised on symbolic tensors: {said(error)} Use keras.ops in "
            "call, and no values of tensors."
        ) from error
    return plan(calls)


def example_of(model: Any, does: str) -> Any:
    """Symbolic inputs as those that a model was built with."""
    if getattr(model, "inputs", None):
        return [keras.KerasTensor(t.shape, t.dtype) for t in model.inputs]
    shape = (model.get_build_config() or {}).get("input_shape") if model.built else None
    if shape is None:
        raise ArgumentError(
            f"{does} goes through the layers of a built model with one input; got "
            f"{type(model).__name__}, which is not. Call the model on a batch first, or "
            + ("pass example=x." if does == "convert" else "selfnorm.keras.audit(model, x).")
        )
    return keras.KerasTensor(shape, keras.config.floatx())


def said(error: Exception) -> str:
    """Its own words, where Keras put others around them."""
    inner = re.search(r"\x1b\[1m(.*?)\x1b\[0m", str(error), re.DOTALL)
    return ((inner.group(1) if inner else str(error)).strip() or "nothing.").splitlines()[0]
