"""What gives weights LeCun's size: lines that work for these very ones."""

from collections.abc import Mapping, Sequence

from selfnorm.auditing._rules._culprits import has_empty_units, is_bound, is_pruned
from selfnorm.recording import Weights
from selfnorm.recording._layer import FORWARD, is_strange

_OLD = {"weight_norm": "remove_weight_norm(layer)", "spectral_norm": "remove_spectral_norm(layer)"}


def mending(wrong: Sequence[Weights]) -> str:
    """How to give weights LeCun's size: a line that works for these very ones."""
    first = wrong[0]
    if is_pruned(first) and not has_empty_units(first):
        factor = float(first.tau.mean()) ** -0.5
        return f"Multiply what is left of the weights by {factor:.3g}: their squares then sum to 1."
    if first.computed in _OLD:
        return f"torch.nn.utils.{_OLD[first.computed]}, then selfnorm.init.initialize_(model)."
    if first.computed == FORWARD:
        factor = float(first.tau.mean()) ** -0.5
        more = len({w.name for w in wrong}) - 1
        others = f", and of {more} more likewise" if more else ""
        return (
            f"Multiply by {factor:.3g} what the forward makes of {first.name}{others}: its squares "
            "then sum to 1."
        )
    if is_bound(first):
        return f"Take {first.computed} off these layers, then selfnorm.init.initialize_(model)."
    strange = {w.name: w for w in wrong if not w.drawn}
    return _by_name(strange) if strange else "selfnorm.init.initialize_(model), before training."


def _by_name(strange: Mapping[str, Weights]) -> str:
    """The line for weights that `initialize_` does not know by their class."""
    if len(strange) > 1 and all(map(is_strange, strange.values())):
        return (
            "selfnorm.init.initialize_(model, fan_in=report.fan_in), before training; report is "
            "what the audit gives, and knows the weights of layers that are none of torch's."
        )
    one = next(iter(strange.values()))
    as_matrix = ".data[None]" if len(one.shape) == 1 else ""
    line = (
        f"selfnorm.init.lecun_normal_(model.get_parameter({one.name!r}){as_matrix}, "
        f"fan_in={one.fan_in})"
    )
    more = f", and likewise {', '.join([*strange][1:])}" if strange.keys() - {one.name} else ""
    return f"{line}{more}: initialize_ does not know {'them' if more else 'it'}."


def after_training(weights: Weights, *, trained: bool) -> str:
    """What to do about weights that training may have moved."""
    if weights.computed or not weights.drawn or is_pruned(weights):
        return mending([weights])
    if trained:
        return (
            "Lower the weight decay of hidden layers, or the learning rate; before training, "
            "selfnorm.init.initialize_(model)."
        )
    return (
        "selfnorm.init.initialize_(model), before training; after it, lower the weight decay of "
        "hidden layers, or the learning rate."
    )
