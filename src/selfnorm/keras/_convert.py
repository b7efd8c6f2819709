"""A Keras model in, a self-normalizing one out, with the list of what changed."""

from dataclasses import replace
from typing import Any

from selfnorm.converting._changes import Change, Changes, Checked, checked
from selfnorm.errors import ArgumentError
from selfnorm.keras._copies import Copier
from selfnorm.keras._given import check_model, example_of, followed, tensors
from selfnorm.keras._initialize import initialize
from selfnorm.keras._wanted import is_usual, wanted
from selfnorm.keras.trace import record, unseen


def convert(
    model: Any, *, init: str | None = "lecun_normal", example: Any = None
) -> tuple[Any, Changes]:
    """A self-normalizing copy of a model, and the list of what was changed.

    | what | becomes |
    |---|---|
    | ReLU, ELU, GELU, SiLU, ... with weights behind it | SELU |
    | the same at the output; gates | left |
    | dropout behind a SELU | AlphaDropout |
    | normalization between layers | left out; that of the input stays |
    | `Add()([x, f(x)])` and `x + f(x)` in a graph | times `sqrt(1/2)` |
    | weights and biases | LeCun's, by `selfnorm.keras.initialize` |

    Functional and Sequential models are cloned by `keras.models.clone_model`. A subclassed model,
    and a layer of somebody's own, is copied by `get_config` and `from_config`, with its weights;
    layers that it holds in attributes are exchanged there. What its `call` computes by `keras.ops`
    stays, and the list names it as left.

    Args:
        model: A built model; it stays as it is.
        init: "lecun_normal", by `selfnorm.keras.initialize`; or None, which keeps weights.
        example: Inputs, as for `audit`. With them a model of several inputs needs not be
            Functional, and the result is tried: the list ends with the variances of its SELUs.

    Returns:
        The new model, not compiled if it is subclassed, and `selfnorm.converting.Changes`.

    Raises:
        UnsupportedError: `model` is no model of Keras, its `call` cannot be followed, or a
            subclassed one cannot be copied by its config.
        ArgumentError: It is not built, or another `init`.

    Source: Klambauer et al. 2017 (SELU, initialization, alpha dropout); Hoedt et al. 2022 (scaled
    residuals).

    Example:
        >>> import keras
        >>> layers = [keras.layers.Dense(32, activation="relu"), keras.layers.Dropout(0.1)]
        >>> model = keras.Sequential([keras.Input((32,)), *layers, keras.layers.Dense(3)])
        >>> model, changes = convert(model)
        >>> model.layers[0].activation.__name__, type(model.layers[1]).__name__, len(changes)
        ('selu', 'AlphaDropout', 3)
    """
    check_model(model, "convert copies")
    if init not in ("lecun_normal", None):
        raise ArgumentError(f"init is 'lecun_normal' or None; got {init!r}. Choose one.")
    given = example_of(model, "convert") if example is None else tensors(model, example)[1]
    plan = followed(model, given)
    changes = wanted(plan, unseen(plan, model.name))
    copier = Copier(changes)
    new = copier.copied(model, given)
    told = [change if key in copier.done else _left(change) for key, change in changes.items()]
    if init is not None:
        initialize(new)
        told.append(Change("", "initialized", "weights", "LeCun's", "variance 1/fan_in"))
    result = None if example is None else _checked(new, example)
    return new, Changes(tuple(told), checked=result)


def _left(change: Change) -> Change:
    """Why it was not changed."""
    if change.kind == "left" and not change.after:
        return change
    why = "it stands in a call, which convert does not rewrite: put a layer there"
    if change.kind == "left" and not is_usual(change.before):
        why = "it may be meant so"
    elif change.kind == "scaled":
        why = f"it stands in a call, which convert does not rewrite: write {change.after} there"
    return replace(change, kind="left", after="", why=why)


def _checked(model: Any, example: Any) -> Checked:
    """What the new model's SELUs do."""
    inputs, given = tensors(model, example)
    return checked(record(followed(model, given), inputs, model.name, None, {}))
