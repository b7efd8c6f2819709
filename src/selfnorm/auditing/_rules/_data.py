"""What the model is given: standardized features, embeddings of variance 1, enough rows."""

import itertools
from collections.abc import Iterator

import numpy as np

from selfnorm.auditing._finding import Finding, Severity
from selfnorm.auditing._rules._registry import rule
from selfnorm.recording import Features, Layer, Recording, Weights
from selfnorm.recording._recording import WEIGHTED
from selfnorm.recording._rightness import not_standardized
from selfnorm.theory import THEOREM_1, selu_constants

_FEW = 32
_SEEN = 20
"""How often a feature is to be seen before one that never changes says something."""
_SPREAD = 0.8
_PADDED = 0.1
_HEAVY = 6.0  # fourth moment by squared variance, 3 if normal
_MADE = 0.1  # of the features, those that one value may make wrong
_EXPECTED = 0.2
_STEEPEST = selu_constants().saturation  # lambda alpha


@rule("input-not-standardized")
def input_not_standardized(recording: Recording) -> Iterator[Finding]:
    """Features whose mean is not 0 or whose variance is not 1."""
    for features in recording.features:
        off = not_standardized(features)
        if off is None:
            continue
        layer, moved = recording.layers[features.reader], off.features
        many = len(moved)
        severity: Severity = "error" if off.large or moved.mean() > 0.5 else "warning"
        yield Finding(
            "input-not-standardized",
            severity,
            layer.module,
            f"the input has mean {features.mean:+.3g}, variance {features.variance:.3g}, values "
            f"from {features.low:.3g} to {features.high:.3g}; {int(moved.sum())} of {many} "
            f"features are off{_likely(features, moved)}",
            "every feature with mean 0 and variance 1",
            "Self-normalization starts from inputs of mean 0 and variance 1, and every layer "
            "inherits what the first one gets (Klambauer et al. 2017, section 3).",
            _remedy(features, layer),
        )


@rule("constant-feature")
def constant_feature(recording: Recording) -> Iterator[Finding]:
    """Features that have one value in every row."""
    for features in recording.features:
        size = features.variance + features.mean * features.mean
        constant = features.variances <= 1e-12 * max(size, 1e-30)
        rare = features.rows < _SEEN * features.rarity  # more rows would show them change
        if features.rows < _FEW or not constant.any() or rare or features.computed:
            continue
        layer = recording.layers[features.reader]
        share = float(constant.mean())
        first = ", ".join(map(str, np.flatnonzero(constant)[:5]))
        yield Finding(
            "constant-feature",
            "warning" if share > 0.1 else "note",
            layer.module,
            f"{int(constant.sum())} of {len(constant)} features never change (number {first}"
            + (", ...)" if constant.sum() > 5 else ")"),
            "features that vary",
            f"A constant feature has no variance to give: the first layer's is that share, "
            f"{share:.0%}, too small, or a bias (Klambauer et al. 2017, Eq. 3).",
            "Drop these features.",
        )


@rule("heavy-tailed-input")
def heavy_tailed_input(recording: Recording) -> Iterator[Finding]:
    """Rows of very different size, which standardized features hide."""
    for features, first, usual in heavy_tailed(recording):
        yield Finding(
            "heavy-tailed-input",
            "warning",
            recording.layers[features.reader].module,
            f"the rows' mean squares differ: their deviation is {features.row_spread:.2g} times "
            f"their mean; variance {first.variance:.3g} behind {first.name}",
            f"rows of about one size: {usual:.2g} for so many normal features",
            "Weights keep the size of each row. Where a few rows are very large, features of "
            "variance 1 leave all others small (Klambauer et al. 2017, section 2, take the inputs "
            "of a unit as many and alike).",
            "Bring features near a normal distribution: the logarithm of positive ones, or "
            "sklearn.preprocessing.QuantileTransformer(output_distribution='normal').",
        )


def heavy_tailed(recording: Recording) -> Iterator[tuple[Features, Layer, float]]:
    """Inputs with rows of very different size, the SELU that shows it, and what is usual."""
    for features in recording.features:
        shared = np.nan_to_num(features.correlation_size) ** 2
        usual = float(np.sqrt(2 / _alike(features) + 2 * shared))
        if not features.row_spread > _SPREAD + 2 * usual:
            continue
        layer = recording.layers[features.reader]
        shown = [s for s in recording.selus if not THEOREM_1.holds("variance", s.variance)]
        behind = (s for s in shown if any(one is layer for one in recording.before(s)))
        found = next((selu for selu in behind if _is_unexpected(selu)), None)
        if found is not None:
            yield features, found, usual


@rule("correlated-inputs")
def correlated_inputs(recording: Recording) -> Iterator[Finding]:
    """Features that move together."""
    for features in recording.features:
        if not features.correlation_size > 0.3:
            continue
        layer = recording.layers[features.reader]
        yield Finding(
            "correlated-inputs",
            "note",
            layer.module,
            f"two features correlate by {features.correlation_size:.2f} (root mean square)",
            "independent features",
            "The theory takes a unit's inputs as independent; with correlation the first layers' "
            "units differ in variance, and further layers even that out (Klambauer et al. 2017, "
            "section 2 and supplement).",
            "Drop copies and near copies; principal components or whitening decorrelate fully.",
        )


@rule("embedding-variance")
def embedding_variance(recording: Recording) -> Iterator[Finding]:
    """Embeddings that are not of variance 1."""
    for layer in recording.of("embedding"):
        end = _multiplied(recording, layer)
        zeros = float(layer.settings.get("zeros", 0.0))
        size, tau = end.second_moment, layer.tau
        of_rows = tau * size / layer.second_moment if layer.second_moment else tau
        if not recording.hidden(layer) or 0.5 <= size <= 2:
            continue
        if 0.5 <= of_rows <= 2 and not _is_bag(layer):  # what is padding is told elsewhere
            continue
        summed = 0.5 <= of_rows <= 2
        yield Finding(
            "embedding-variance",
            "error" if not 0.1 <= size <= 10 else "warning",
            layer.module,
            f"embedded values have second moment {size:.3g}"
            + (f": of rows of {tau:.3g}, in bags" if summed else "")
            + (f", {zeros:.0%} of them zeros" if zeros > _PADDED else ""),
            "mean 0 and variance 1",
            "An embedding is the input of the first layer, which takes mean 0 and variance 1 "
            "(Klambauer et al. 2017, section 3); a bag of L rows sums to variance L, and averages "
            "to 1/L.",
            f"Multiply it by {size**-0.5:.3g}, or sum each bag and divide by the square root of "
            "its length."
            if summed
            else _embedding_mending(recording, layer, size),
        )


@rule("padded-rows")
def padded_rows(recording: Recording) -> Iterator[Finding]:
    """Rows of zeros, as a padding index gives them."""
    for layer in recording.of("embedding"):
        zeros = float(layer.settings.get("zeros", 0.0))
        if not zeros > _PADDED or not recording.hidden(layer):
            continue
        yield Finding(
            "padded-rows",
            "note",
            layer.module,
            f"{zeros:.0%} of the rows that {layer.name} gives are zeros: padding",
            "few",
            "A row of zeros stays 0 through layers without bias; it takes its share from the "
            f"variance, and where SELU's input is 0 its slope is {_STEEPEST:.4g}, so that the "
            "gradients of these rows grow (derivative of Klambauer et al. 2017, Eq. 2).",
            "Leave padded rows out of the loss and of pooling, or judge batches without padding.",
        )


@rule("small-batch")
def small_batch(recording: Recording) -> Iterator[Finding]:
    """Too few rows to measure by."""
    rows = recording.rows
    if rows < _FEW:
        yield Finding(
            "small-batch",
            "note",
            "",
            f"{rows} row{'s' if rows != 1 else ''} of input",
            "some hundred",
            f"A variance measured on {rows} rows is off by some {np.sqrt(2 / rows):.0%} by chance "
            "(the sampling error of a variance, sqrt(2/n)).",
            "Pass more rows; real ones.",
        )


def _likely(features: Features, moved: np.ndarray) -> str:
    low, high = features.low, features.high
    if low >= 0 and 100 < high <= 255:
        return ": bytes of images, not scaled"
    if low >= 0 and 0.5 < high <= 1:
        return ": scaled to [0, 1], not standardized"
    largest = max(abs(low), abs(high))
    alone = largest * largest > 0.5 * features.rows * float(features.variances.max())
    if alone and moved.sum() <= max(1, _MADE * len(moved)):
        return f": one value, {high if high == largest else low:.3g}, makes it"
    if features.variances.max() > 1e3 * max(float(np.median(features.variances)), 1e-12):
        return ": columns in their own units"
    return ""


def _remedy(features: Features, layer: Layer) -> str:
    if features.computed:
        return (
            f"selfnorm.nn.Standardize in front of {layer.name}: the model makes what it reads, so "
            "nothing in front of the model standardizes that."
        )
    if features.low >= 0 and (100 < features.high <= 255 or 0.5 < features.high <= 1):
        return (
            "Subtract the mean and divide by the deviation, taken over the training data: "
            "selfnorm.nn.Standardize in front of the model does."
        )
    return (
        "Standardize every feature on the training data: selfnorm.nn.Standardize in front of the "
        "model, or in the data's pipeline (sklearn's StandardScaler, torchvision's Normalize)."
    )


def _alike(features: Features) -> float:
    """Of how many features of one size the rows' mean squares would vary as much as of these.

    Where the features themselves have heavy tails, these make their sizes differ: all count.
    """
    if features.rarity > _HEAVY:
        return float(len(features.means))
    sizes = features.variances + features.means**2
    return max(float(sizes.sum() ** 2 / max(np.square(sizes).sum(), 1e-300)), 1.0)


def _embedding_mending(recording: Recording, layer: Layer, size: float) -> str:
    """What to do about rows of a wrong size, which may be a decoder's weights as well."""
    for one in recording.layers:
        pairs = itertools.product(layer.weights, one.weights if one.role in WEIGHTED else ())
        if any(_are_one(rows, weights) for rows, weights in pairs):
            return (
                f"Multiply what it gives by {size**-0.5:.3g}: its weights are those of {one.name}, "
                "too, which sums as many terms as a row has numbers."
            )
    return "selfnorm.init.initialize_(model), before training."


def _are_one(rows: Weights, weights: Weights) -> bool:
    """Whether an embedding's rows are the units of a layer: each has another name for them.

    A row of padding is none of an embedding's, and one of the layer's units.
    """
    one, other = rows.tau * weights.fan_in, weights.tau
    if len(other) == len(one) + 1:
        apart = np.flatnonzero(~np.isclose(one, other[:-1], rtol=1e-4))
        other = np.delete(other, apart[0] if len(apart) else len(one))
    same = rows.shape == weights.shape and len(one) == len(other)
    return same and bool(np.allclose(one, other, rtol=1e-4))


def _multiplied(recording: Recording, layer: Layer) -> Layer:
    """What multiplies all that an embedding gives, as by the root of its size; else itself."""
    readers = recording.readers(layer)
    # A normalization by hand is taken as one of what the factor multiplies.
    readers = [r for r in readers if not r.settings.get("by_hand")] or readers
    alone = len(readers) == 1 and readers[0].role == "scale"
    sums = alone and readers[0].kind.startswith(("add", "sub"))  # with a place's embedding, say
    return readers[0] if alone and not sums else layer


def _is_bag(layer: Layer) -> bool:
    return "bag" in layer.kind.lower()


def _is_unexpected(layer: Layer) -> bool:
    """Whether a variance is another than weights and the input's variance alone would make it."""
    expected = np.nan if layer.predicted is None else float(layer.predicted.variance)
    return not abs(np.log(layer.variance) - np.log(expected)) < _EXPECTED
