"""What bends the values between two weights: SELU, and nothing else."""

from collections.abc import Iterator

from selfnorm.auditing._finding import Finding
from selfnorm.auditing._rules._registry import rule
from selfnorm.recording import Layer, Recording
from selfnorm.recording._recording import WEIGHTED
from selfnorm.theory import selu_constants

_BLOCKS = {"TransformerEncoderLayer", "TransformerDecoderLayer"}
_HALVES = {"float16", "bfloat16"}


@rule("wrong-activation")
def wrong_activation(recording: Recording) -> Iterator[Finding]:
    """Another activation between two layers with weights."""
    for layer in recording.of("activation"):
        before = _activation_before(recording, layer)
        if not is_wrong_activation(recording, layer):
            continue
        if before is not None:
            yield _doubled(layer, before)
            continue
        yield Finding(
            "wrong-activation",
            "error",
            layer.module,
            f"{layer.activation} stands between layers with weights; its output has mean "
            f"{layer.mean:+.3g} and variance {layer.variance:.3g}",
            "SELU, which has mean 0 and variance 1 as a stable fixed point",
            "Only an activation with the right slopes on both sides pulls mean and variance back "
            "to (0, 1) (Klambauer et al. 2017, section 2 and theorem 1).",
            _replacing(layer),
        )


def _replacing(layer: Layer) -> str:
    """How to come by SELU in place of another activation."""
    if is_torchs_block(layer):
        return (
            f"Build {layer.module or 'the model'} of Linear layers and SELU: selfnorm.convert "
            "leaves torch's own Transformer layers as they are."
        )
    if layer.settings.get("by_hand"):
        return f"selfnorm.nn.SELU() in place of {layer.name}."
    return "selfnorm.convert(model), or selfnorm.nn.SELU() in its place."


def is_torchs_block(layer: Layer) -> bool:
    """Whether an activation is inside of one of torch's Transformer layers, which stay whole."""
    return layer.kind in _BLOCKS


def is_wrong_activation(recording: Recording, layer: Layer) -> bool:
    """Whether an activation is another than SELU, or a second one, where layers have weights."""
    followers = recording.followers(layer)
    gates = followers and all(f.role in {"product", "attention"} for f in followers)
    if layer.role != "activation" or not recording.hidden(layer) or gates or not followers:
        return False
    if layer.settings.get("by_hand") and not any(f.role in WEIGHTED for f in followers):
        return False
    return layer.activation != "selu" or _activation_before(recording, layer) is not None


def _activation_before(recording: Recording, layer: Layer) -> Layer | None:
    origin = recording.origin(layer)
    return origin if origin is not None and origin.role == "activation" else None


def _doubled(layer: Layer, origin: Layer) -> Finding:
    """An activation behind an activation."""
    return Finding(
        "wrong-activation",
        "error" if origin.activation == "selu" != layer.activation else "warning",
        layer.module,
        f"{layer.activation} stands behind {origin.activation} ({origin.name}); its output has "
        f"mean {layer.mean:+.3g} and variance {layer.variance:.3g}",
        "one activation between two layers with weights",
        "Mean 0 and variance 1 are the fixed point of one SELU behind a sum of normal terms, and "
        "of no other function (Klambauer et al. 2017, section 2 and theorem 1).",
        f"Take {layer.name} out.",
    )


@rule("missing-activation")
def missing_activation(recording: Recording) -> Iterator[Finding]:
    """Two linear layers in a row are one."""
    for layer in recording.of("linear"):
        if _depthwise(layer):
            continue
        followers = recording.followers(layer)
        nexts = [f for f in followers if f.role == "linear"]
        aside = {
            "addition",
            "product",
        }  # a residual block's stem, or what squeeze-and-excite scales
        if not nexts or any(f.role in aside for f in followers):
            continue
        if all(_is_factor(layer, behind) for behind in nexts):
            continue
        yield Finding(
            "missing-activation",
            "warning",
            layer.module,
            f"its output goes to {nexts[0].name} without an activation between",
            "SELU between two linear layers",
            "Two linear layers in a row compute one linear map, and nothing there pulls the "
            "variance back to 1 (Klambauer et al. 2017, section 2).",
            f"Put selfnorm.nn.SELU() between {layer.name} and {nexts[0].name}, or drop one.",
        )


@rule("in-place-write")
def in_place_write(recording: Recording) -> Iterator[Finding]:
    """Something writes into SELU's output, where its gradient is computed from that."""
    of_output = [layer for layer in recording.selus if layer.settings.get("keeps_output")]
    for layer in of_output:
        index = layer.settings.get("overwritten_by")
        if not isinstance(index, int) or index >= len(recording.layers):
            continue
        writer = recording.layers[index]
        broken = bool(recording.failure)
        yield Finding(
            "in-place-write",
            "error" if broken else "warning",
            writer.module or layer.module,
            f"{writer.name} ({writer.kind}) writes into the output of {layer.name}"
            + ("; the backward pass fails" if broken else ""),
            "an operation that makes a new tensor",
            "The gradient of SELU in place, or with alpha dropout in one, is computed from its "
            "output, which must stay as it is until the backward pass (torch raises, or in older "
            "code is silently wrong).",
            "Write x = x + y instead of x += y, or take selfnorm.nn.SELU(), not in place, whose "
            "gradient needs its input alone.",
        )
    if recording.failure and not any("overwritten_by" in layer.settings for layer in of_output):
        yield Finding(
            "in-place-write",
            "error",
            "",
            recording.failure.split(":", maxsplit=1)[0],
            "a backward pass that runs",
            "A tensor that the backward pass needs was overwritten in the forward pass.",
            "torch.autograd.set_detect_anomaly(True) names the place.",
        )


@rule("half-precision")
def half_precision(recording: Recording) -> Iterator[Finding]:
    """A slope from the output alone, in half precision, is off where SELU saturates."""
    for layer in recording.selus:
        if layer.dtype not in _HALVES or not layer.settings.get("keeps_output"):
            continue
        rounds = not layer.settings.get("ours")
        saturated = layer.saturated > 0.05
        if not (rounds or saturated):
            continue
        seen = "torch's SELU in place" if rounds else f"{layer.saturated:.0%} of values saturated"
        yield Finding(
            "half-precision",
            "warning",
            layer.module,
            f"{seen}, in {layer.dtype}",
            "a slope from the input, or few values where SELU saturates",
            f"In half precision the outputs near {selu_constants().saturation:.4g} lie far apart, "
            "so a slope computed from the output alone is off there; torch's in "
            "place is 2.9e-4 in place of 0.",
            "selfnorm.nn.SELU(), not in place: it keeps its input, and its slope is exact; keep "
            "pre-activations near variance 1.",
        )


def _is_factor(layer: Layer, behind: Layer) -> bool:
    """Whether two products of one `forward` are a matrix of low rank, in two factors."""
    width = 2 * len(layer.unit_means)
    narrow = all(width <= w.fan_in for w in layer.weights) and width <= len(behind.unit_means)
    return layer.module == behind.module and narrow and not (len(layer.bias) or len(behind.bias))


def _depthwise(layer: Layer) -> bool:
    """A convolution within each channel, which the next one is meant to mix."""
    shapes = [weights.shape for weights in layer.weights]
    return any(len(shape) > 2 and shape[1] == 1 for shape in shapes)
