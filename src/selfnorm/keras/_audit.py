"""Is this Keras model self-normalizing, and why not?"""

from collections.abc import Callable, Iterable
from typing import Any

from selfnorm.auditing import Finding, Report
from selfnorm.auditing._judged import judged, translated
from selfnorm.auditing._rules import Rule, judge, select
from selfnorm.errors import ArgumentError
from selfnorm.keras._given import check_model, example_of, followed, tensors
from selfnorm.keras._start import starts_right
from selfnorm.keras.trace import Plan, record, unseen
from selfnorm.keras.trace._calls import is_known

_WORDS = (
    ("Xavier's, xavier_uniform_", "Keras's default, glorot_uniform"),
    ("Xavier's, xavier_normal_", "glorot_normal"),
    ("He's, kaiming_uniform_ for ReLU", "he_uniform"),
    ('selfnorm.init.initialize_(model, distribution="orthogonal")',
     'selfnorm.keras.initialize(model, distribution="orthogonal")'),
    ("selfnorm.optim.keep_orthogonal(optimizer, model), and train anew",
     "train anew with callbacks=[selfnorm.keras.KeepOrthogonal()]"),
    ("initialize_(model, exact=True)", "selfnorm.keras.initialize(model, exact=True)"),
    ("selfnorm.init.initialize_(model)", "selfnorm.keras.initialize(model)"),
    ("torch.nn.init.zeros_(layer.bias)", 'bias_initializer="zeros"'),
    ("selfnorm.convert(model, norms='fold', init=None) folds it into the layer before, or removes",
     "selfnorm.keras.convert(model, init=None) leaves"),
    ("leaves it, and keeps the weights", "leaves it out, and keeps the weights"),
    (("; or before training selfnorm.convert(model, example=inputs), which sizes the weights "
     "behind it for that"), ""),
    ("selfnorm.convert(", "selfnorm.keras.convert("),
    ("selfnorm.nn.SELUAlphaDropout", "selfnorm.keras.SELUAlphaDropout"),
    ("selfnorm.nn.SELU() in its place", 'activation="selu" in its place'),
    ("selfnorm.nn.SELU() in place of", 'activation="selu" in place of'),
    ("selfnorm.nn.SELU()", "a SELU"),
    ("selfnorm.nn.Standardize in front of the model does",
     "keras.layers.Normalization in front of the model does, once it is adapted"),
    ("selfnorm.nn.Standardize in front of the model",
     "keras.layers.Normalization in front of the model, adapted"),
    ("a Linear layer and Unflatten", "a Dense layer and Reshape"),
)  # fmt: skip
_UNMEASURED = (
    ("; its output has mean +nan and variance nan", ""),
    ("; mean +nan, variance nan", ""),
    (" SELU: variance nan", " SELU"),
    ("; they correlate by nan (root mean square)", ""),
)
_STATIC = (
    "selu-without-lecun", "wrong-init", "one-sided-weights", "repeated-units", "nonzero-bias",
    "wrong-activation", "missing-activation", "plain-dropout", "alpha-dropout-misplaced",
    "dropout-budget", "leftover-normalization",
)  # fmt: skip


def audit(
    model: Any,
    x: Any,
    *,
    loss: Callable[[Any], Any] | None = None,
    strict: bool = False,
    rules: Iterable[str | Rule] | None = None,
) -> Report:
    r"""Is this model self-normalizing, and if not, why not and what to do?

    The model is gone through call by call, in training: layers, activations within layers, and
    `keras.ops` in a functional graph, in a `Lambda`, or in a `call` that somebody wrote. What a
    function of single numbers is, its values tell. Then the same theory and rules judge as in
    `selfnorm.audit` for PyTorch, with the same report, on every backend.

    The model is left as it was: variables, seeds, statistics of norms, its graph. One that was not
    built is built, as by its first call. A layer whose `call` cannot be followed, as it goes past
    `keras.ops`, is named as unknown.

    Args:
        model: Any `keras.Model`, or a layer.
        x: What it is called with: an array, or a list or dictionary of arrays. Some hundred rows of
            real data say most.
        loss: `loss(output)`: a scalar to differentiate. Without it gradients start from random
            numbers.
        strict: Raise `AuditError` if there are errors or warnings.
        rules: Names of rules, or functions, to judge by; all that are registered if None.

    Returns:
        A `Report`. `print` shows it, `to_html` writes it as a page, `ok` says whether all is well.

    Raises:
        UnsupportedError: `model` is no model of Keras, or its own `call` cannot be followed.
        ArgumentError: There is nothing in `x`, nothing depends on it, the loss is not a scalar, or
            a rule does not exist.
        AuditError: With `strict`; its `report` holds the report.

    Source: Klambauer et al. 2017, Eq. 4, 5 and theorem 1, and for gradients Schoenholz et al. 2017.

    Example:
        >>> import keras, numpy as np
        >>> how = {"activation": "selu", "kernel_initializer": keras.initializers.LecunNormal(0)}
        >>> model = keras.Sequential([keras.layers.Dense(64, **how) for _ in range(4)])
        >>> x = np.random.default_rng(0).standard_normal((256, 64))
        >>> audit(model, x).ok
        True
        >>> _ = model.layers[1].kernel.assign(1.4 * model.layers[1].kernel)
        >>> audit(model, x).findings[0].rule
        'wrong-init'
    """
    chosen = select(rules)
    check_model(model, "audit looks at")
    inputs, given = tensors(model, x)
    found = followed(model, given)
    if not found.places or not found.ends:
        raise ArgumentError(
            "an audit looks at what a model computes of its inputs; nothing that it returns "
            f"depends on them in {model.name}. Look at its call."
        )
    recording = record(found, inputs, type(model).__name__, loss, _unused(model, found))
    return judged(recording, chosen, words=_WORDS, strict=strict)


def lint(model: Any) -> tuple[Finding, ...]:
    """What can be said of a model without data: weights, activations, dropout, norms.

    The rules of `audit` that ask for no measured value: SELU without LeCun's weights, plain dropout
    behind SELU, alpha dropout elsewhere, norms that are left, other activations. And it notes
    layers before a SELU whose `kernel_initializer` is not LeCun's, though their weights may be.

    Args:
        model: A `keras.Model` that is built.

    Returns:
        Findings, errors first; none if all is well.

    Raises:
        UnsupportedError: `model` is no model of Keras.
        ArgumentError: It is not built.

    Source: Klambauer et al. 2017, section 3.

    Example:
        >>> import keras
        >>> layers = [keras.layers.Dense(32, activation="selu") for _ in range(3)]
        >>> model = keras.Sequential([keras.Input((96,)), *layers, keras.layers.Dropout(0.1)])
        >>> [finding.rule for finding in lint(model)]
        ['wrong-init', 'plain-dropout', 'selu-without-lecun']
    """
    check_model(model, "lint looks at")
    found = followed(model, example_of(model, "lint"))
    recording = unseen(found, type(model).__name__)
    told = [translated(f, _UNMEASURED) for f in judge(recording, select(_STATIC))]
    named = {module for f in told for module in (f.module, *f.covers)}
    others = {
        place.site.module: start
        for layer, place in zip(recording.layers, found.places, strict=True)
        if recording.feeds_selu(layer) and (start := _other_start(place.owner)) is not None
    }
    others = {name: start for name, start in others.items() if name not in named}
    kinds = ", ".join(sorted(set(others.values())))
    if others:
        told.append(
            Finding(
                "selu-without-lecun",
                "note",
                next(iter(others)),
                f"kernel_initializer of {', '.join(others)} is {kinds}",
                "LecunNormal, LecunUniform, or selfnorm.keras.LecunOrthogonal",
                "The variance of weights before a SELU is 1/fan_in (Klambauer et al. 2017, section "
                "3); another initializer has it for some shapes alone.",
                'kernel_initializer="lecun_normal", or selfnorm.keras.initialize(model).',
                tuple(others),
            )
        )
    return tuple(translated(finding, _WORDS) for finding in told)


def _other_start(layer: Any) -> str | None:
    """The name of an initializer that is not LeCun's."""
    initializer = getattr(layer, "kernel_initializer", None)
    right = initializer is None or starts_right(initializer, layer.kernel.shape)
    return None if right else type(initializer).__name__


def _unused(model: Any, found: Plan) -> dict[str, str]:
    """Layers without others inside that did not run."""
    ran = {id(event.operation) for event in found.events if not isinstance(event, int)}
    known = [layer for layer in model._flatten_layers() if is_known(layer)]  # noqa: SLF001
    inside = {id(k) for layer in known for k in layer._flatten_layers(include_self=False)}  # noqa: SLF001
    left = [k for k in known if k.weights and id(k) not in inside | ran]
    return {layer.path: type(layer).__name__ for layer in left}
