"""Weights of what is converted: drawn, or left and named."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from selfnorm.converting import _norms
from selfnorm.converting._flow import join
from selfnorm.converting._modules import WEIGHTED, kind_of
from selfnorm.converting._silent import NEARLY_ZERO
from selfnorm.converting._work import Work
from selfnorm.init._distributions import Draw, lecun_normal_, lecun_uniform_
from selfnorm.init._model import initialized
from selfnorm.recording import Weights

_ROUNDING = 1e-3  # of the squares of weights, in half precision too


def drawing(init: str) -> Draw:
    """How weights are drawn."""
    return Draw("normal" if init == "lecun_normal" else "uniform")


def not_chosen(model: nn.Module, chosen: Callable[[str], bool]) -> list[str]:
    """Names of modules with parameters that are not to be converted."""
    return [
        name
        for name, module in model.named_modules()
        if not chosen(name) and any(True for _ in module.parameters(recurse=False))
    ]


def silent(work: Work) -> dict[str, str]:
    """Layers that are nearly zero, as heads and last layers of blocks: taken for meant, if few."""
    weighted = {n: m for n, m in work.model.named_modules() if isinstance(m, WEIGHTED)}
    found = {name: what for name, module in weighted.items() if (what := _near_zero(module))}
    return found if 2 * len(found) <= len(weighted) else {}


def initialize(work: Work, draw: Draw) -> None:
    """Draw the weights of what is converted; name what is not known."""
    unwanted = not_chosen(work.model, work.chosen)
    for name, what in work.silent.items():
        if work.chosen(name) and (module := work.module(name)) is not None:
            why = f"{what}: taken for meant, so that it starts without a say"
            work.say(name, "left", f"weights of {kind_of(module)}", "", why)
    for name, what in work.summed.items():
        if name not in work.silent and work.chosen(name) and (module := work.module(name)):
            why = f"{what}, and would grow: pass an example"
            work.say(name, "left", f"weights of {kind_of(module)}", "", why)
    unwanted += [*work.silent, *work.summed]
    seen = _draw_seen(work, draw)
    unwanted += seen
    for shortcoming in initialized(work.model, draw, unwanted):
        work.say("", "left", "parameters", "", shortcoming)
    left = set(unwanted)
    count = sum(isinstance(m, WEIGHTED) for n, m in work.model.named_modules() if n not in left)
    count += sum(work.model.get_parameter(name).ndim > 1 for name in seen)
    if count:
        why = "variance 1/fan_in, biases 0; init=None keeps trained weights"
        after = f"lecun_{draw.distribution} weights"
        work.say("", "initialized", f"{count} layers as they were", after, why)
    if any(_has_gathered(module) for module in work.context.modules.values()):
        why = "its norms had gathered statistics, so it was trained: init=None keeps its weights"
        work.say("", "note", "trained weights are drawn anew", "", why)
    work.kept |= {*unwanted} - {*seen}


def _draw_seen(work: Work, draw: Draw) -> list[str]:
    """Draw the matrices of layers of one's own, by what a run showed of them; their names.

    A bias of such a layer becomes 0.
    """
    names: list[str] = []
    for layer in work.context.seen.of("linear") if work.context.seen is not None else ():
        owner = work.module(layer.module)
        if owner is None or isinstance(owner, WEIGHTED) or not work.chosen(layer.module):
            continue
        own = dict(owner.named_parameters(recurse=False))
        for weight in layer.weights:
            path, _, name = weight.name.rpartition(".")
            if path != layer.module or name not in own or weight.name in names:
                continue
            if (size := float(weight.tau.mean()) ** 0.5) < NEARLY_ZERO:
                why = f"its weights are {size:.2g} of LeCun's: taken for meant"
                work.say(path, "left", f"{name} of {kind_of(owner)}", "", why)
                work.kept.add(path)
                continue
            fill = lecun_normal_ if draw.distribution == "normal" else lecun_uniform_
            factor = _factor(own[name], weight)
            fill(own[name], fan_in=weight.fan_in)
            with torch.no_grad():
                own[name].div_(factor)
            names.append(weight.name)
            if (bias := own.get("bias")) is not None and bias.ndim == 1:
                nn.init.zeros_(bias)
                names.append(join(path, "bias"))
    return names


def _factor(parameter: Tensor, used: Weights) -> float:
    """What a parameter is multiplied by before or behind its product, as in NTK parametrization."""
    size = float(parameter.detach().double().square().mean())
    own, times = used.terms * size, float(np.mean(used.tau))
    factor = math.sqrt(times / own) if own > 0 and times > 0 else 1.0
    return 1.0 if math.isclose(factor, 1.0, rel_tol=_ROUNDING) else factor


def _has_gathered(norm: nn.Module) -> bool:
    """Whether a batch normalization has seen batches."""
    mean = norm.running_mean if isinstance(norm, _norms.BATCH) else None
    return mean is not None and not mean.is_meta and bool(mean.any())


def _near_zero(module: nn.Module) -> str | None:
    """How a layer's weights are far below LeCun's, as those of a head that starts at zero are.

    Below what its outputs would ask for, too: torch's `fan_out` does not heed groups.
    """
    weight = dict(module.named_parameters(recurse=False)).get("weight")
    if weight is None or weight.is_meta:  # one that is computed may count its calls
        return None
    terms = weight[0].numel() if weight.ndim > 1 else 0
    deviation = float(weight.detach().double().square().mean()) ** 0.5
    size = deviation * terms**0.5
    if terms < 2 or not max(size, deviation * weight[:, 0].numel() ** 0.5) < NEARLY_ZERO:
        return None
    return "its weights are zero" if size == 0 else f"its weights are {size:.2g} of LeCun's"
