"""What of a Keras model is to be changed, so that it normalizes itself."""

from selfnorm.converting._changes import Change
from selfnorm.keras._untyped import keras
from selfnorm.keras.trace import Place, Plan
from selfnorm.recording import Layer, Recording
from selfnorm.recording._recording import PASSING

_NAMES = "relu relu6 leakyrelu elu celu gelu silu swish mish softplus hardsilu hardswish prelu"
_USUAL = frozenset(_NAMES.split())
_LOGITS = {"softmax", "log_softmax", "sigmoid"}
_SELU = "SELU, which has mean 0 and variance 1 as a stable fixed point"
_SILENT_SUM = "one branch starts near zero by design: the sum has the variance of the other"


def wanted(plan: Plan, seen: Recording) -> dict[int, Change]:
    """Changes by the `id` of the layer or operation, in the order of the forward pass."""
    found: dict[int, Change] = {}
    bent: set[int] = {layer.index for layer in seen.selus}
    for layer, place in zip(seen.layers, plan.places, strict=True):
        change = _change(seen, layer, place, bent)
        if change is not None:
            found[id(place.owner)] = change
            if change.after == "selu":
                bent.add(layer.index)
    return found


def is_usual(activation: str) -> bool:
    """Whether SELU may stand in its place: of layers' and functions' names."""
    return activation.replace("_", "").lower() in _USUAL


def factor_of(change: Change) -> float:
    """What a sum is multiplied by."""
    return float(change.after.partition("/")[2].partition(")")[0]) ** -0.5


def _change(seen: Recording, layer: Layer, place: Place, bent: set[int]) -> Change | None:
    owner = place.owner
    before = layer.activation or type(owner).__name__
    if layer.role == "activation" and layer.activation != "selu" and _stands_between(seen, layer):
        own = place.alone or isinstance(owner, keras.layers.Layer)
        kind = "replaced" if own and is_usual(layer.activation) else "left"
        return Change(layer.module, kind, before, "selu", _SELU)
    origin = seen.origin(layer)
    if layer.role == "dropout" and origin is not None and origin.index in bent:
        why = "plain dropout raises the variance; alpha dropout keeps it"
        return Change(layer.module, "replaced", type(owner).__name__, "AlphaDropout", why)
    if layer.role == "normalization" and seen.hidden(layer) and not seen.reads_input(layer):
        return Change(layer.module, "removed", type(owner).__name__, "", "SELU normalizes itself")
    if layer.role == "addition" and len(place.reads) > 1 and _is_residual(seen, layer):
        if any(_starts_near_zero(seen, source) for source in seen.sources(layer)):
            return Change(layer.module, "left", layer.kind, "", _SILENT_SUM)
        after = f"sqrt(1/{len(place.reads)}) * {layer.kind}"
        return Change(layer.module, "scaled", layer.kind, after, "independent variances add up")
    return None


def _stands_between(seen: Recording, layer: Layer) -> bool:
    """Whether weights stand behind it, and it is no gate."""
    followers = seen.followers(layer)
    gates = bool(followers) and all(
        f.role == "attention" or (f.role == "product" and len(f.inputs) > 1) for f in followers
    )
    return seen.hidden(layer) and not gates


def _is_residual(seen: Recording, layer: Layer) -> bool:
    """Whether it is a hidden sum with what layers gave, not scaled yet, and no logit."""
    around = (*seen.readers(layer), *seen.sources(layer))
    scaled = any(k.role == "scale" and k.settings.get("by") == "number" for k in around)
    weighed = any(k.weights for k in seen.before(*seen.sources(layer)))
    logit = any(k.activation in _LOGITS for k in seen.followers(layer))
    return seen.hidden(layer) and weighed and not scaled and not logit


def _starts_near_zero(seen: Recording, layer: Layer) -> bool:
    while layer.role in PASSING and len(seen.sources(layer)) == 1:
        (layer,) = seen.sources(layer)
    return layer.silent
