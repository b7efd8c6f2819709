"""What the model is given: standardized features, embeddings of variance 1, enough rows."""

from collections.abc import Iterator

import numpy as np

from selfnorm.auditing._finding import Finding, Severity
from selfnorm.auditing._rules._registry import rule
from selfnorm.recording import Features, Recording

_FEW = 32
_NOISE = 5.0


@rule("input-not-standardized")
def input_not_standardized(recording: Recording) -> Iterator[Finding]:
    """Features whose mean is not 0 or whose variance is not 1."""
    for features in recording.features:
        if features.rows < 2:
            continue
        moved = _moved(features)
        size = features.variance + features.mean * features.mean
        off = not 0.5 <= size <= 2
        constant = features.variances <= 1e-12 * max(size, 1e-30)
        varying = moved[~constant]
        if not off and len(varying) and varying.mean() <= 0.1:
            continue
        layer = recording.layers[features.reader]
        many = len(moved)
        severity: Severity = "error" if off or moved.mean() > 0.5 else "warning"
        yield Finding(
            "input-not-standardized",
            severity,
            layer.module,
            f"the input has mean {features.mean:+.3g}, variance {features.variance:.3g}, values "
            f"from {features.low:.3g} to {features.high:.3g}; {int(moved.sum())} of {many} "
            f"features are off{_likely(features)}",
            "every feature with mean 0 and variance 1",
            "Self-normalization starts from inputs of mean 0 and variance 1, and every layer "
            "inherits what the first one gets (Klambauer et al. 2017, section 3).",
            _remedy(features),
        )


@rule("constant-feature")
def constant_feature(recording: Recording) -> Iterator[Finding]:
    """Features that have one value in every row."""
    for features in recording.features:
        size = features.variance + features.mean * features.mean
        constant = features.variances <= 1e-12 * max(size, 1e-30)
        if features.rows < _FEW or not constant.any():
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
        readers = recording.readers(layer)
        end = readers[0] if len(readers) == 1 and readers[0].role == "scale" else layer
        size, tau = end.second_moment, layer.tau
        scaled = tau * size / layer.second_moment if layer.second_moment else tau
        if 0.5 <= size <= 2 or 0.5 <= scaled <= 2 or not recording.hidden(layer):
            continue
        yield Finding(
            "embedding-variance",
            "error" if not 0.1 <= size <= 10 else "warning",
            layer.module,
            f"embedded values have second moment {size:.3g}",
            "mean 0 and variance 1",
            "An embedding is the input of the first layer, which takes mean 0 and variance 1 "
            "(Klambauer et al. 2017, section 3).",
            "selfnorm.init.initialize_(model), or multiply by sqrt(embedding_dim) if its weights "
            "are tied to a decoder.",
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


def _moved(features: Features) -> np.ndarray:
    """Which features are off by more than half a deviation or twice the variance, and by chance."""
    rows = features.rows
    chance = _NOISE / np.sqrt(rows)
    means, variances = features.means, features.variances
    shifted = np.abs(means) > (0.5 + chance) * np.sqrt(np.maximum(variances, 0.5))
    return shifted | (variances > 2 + 4 * chance) | (variances < 0.5 / (1 + 4 * chance))


def _likely(features: Features) -> str:
    low, high = features.low, features.high
    if low >= 0 and 100 < high <= 255:
        return ": bytes of images, not scaled"
    if low >= 0 and 0.5 < high <= 1:
        return ": scaled to [0, 1], not standardized"
    if features.variances.max() > 1e3 * max(float(np.median(features.variances)), 1e-12):
        return ": columns in their own units"
    return ""


def _remedy(features: Features) -> str:
    if features.low >= 0 and (100 < features.high <= 255 or 0.5 < features.high <= 1):
        return (
            "Subtract the mean and divide by the deviation, taken over the training data: "
            "selfnorm.nn.Standardize in front of the model does."
        )
    return (
        "Standardize every feature on the training data: selfnorm.nn.Standardize in front of the "
        "model, or in the data's pipeline (sklearn's StandardScaler, torchvision's Normalize)."
    )
