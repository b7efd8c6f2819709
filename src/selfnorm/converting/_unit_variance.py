"""Weights scaled to what an example shows, where LeCun's alone do not give SELUs variance 1.

Zeros of padding, gates, poolings and masks take from the variance of what a layer sums, and sums
that stay as they are add to it. So, in one pass, each layer's output is divided by its deviation
before the next one reads it: Mishkin & Matas 2016, *All you need is a good init* (LSUV,
arXiv 1511.06422). What lies between a layer and its SELU is made up for in a few more.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from selfnorm.converting._run import Call, run, seen_on
from selfnorm.converting._work import Work
from selfnorm.recording import Layer, Recording
from selfnorm.theory import THEOREM_1

_MOST = 100.0  # a larger factor is nothing that padding, pools or gates ask for
_ROUNDS = 4
_LEAST = _MOST**-2  # of a variance
_NEAR = 1e-3
_ENDS = {"linear", "activation", "recurrent", "attention", "embedding"}


def scale(work: Work, call: Call, seen: Recording) -> Recording:
    """Scale the weights before SELUs, as long as these come nearer to the range.

    Args:
        work: The conversion; weights are drawn.
        call: The example.
        seen: What the converted model does on it.

    Returns:
        What it does now.
    """
    if not _outside(seen):
        return seen
    names = {layer.module for layer in seen.before(*seen.selus) if layer.role == "linear"}
    targets = dict.fromkeys(names - work.kept, 1.0)
    total, parameters = dict.fromkeys(targets, 1.0), dict[str, nn.Parameter]()
    for _ in range(_ROUNDS):
        layers = _measured(work.model, call, targets)
        before = [layer.parameter.detach().clone() for layer in layers]
        _multiply(layers)
        now = seen_on(work.model, call)
        if now is None or _distance(now) >= _distance(seen):
            _put_back(layers, before)
            break
        seen = now
        total |= {layer.name: total[layer.name] * layer.factor for layer in layers}
        parameters |= {layer.name: layer.parameter for layer in layers}
        still = _still(seen, {layer.name for layer in layers})
        if not still:
            break
        targets |= {name: targets[name] / variance for name, variance in still.items()}
    seen = _without_small(work.model, call, seen, total, parameters)
    for name, factor in total.items():
        if factor != 1:
            why = "so that SELUs have variance 1 on the example, after paddings, pools and gates"
            work.say(name, "initialized", "weights", f"{factor:.3g} * weights", why)
    return seen


def _without_small(
    model: nn.Module,
    call: Call,
    seen: Recording,
    total: dict[str, float],
    parameters: Mapping[str, nn.Parameter],
) -> Recording:
    """Take factors near 1 back, as they come of several rounds, if SELUs are as right without."""
    layers = [
        _Layer(name, parameter, 1 / total[name])
        for name, parameter in parameters.items()
        if total[name] != 1 and THEOREM_1.holds("variance", total[name] ** 2)
    ]
    before = [layer.parameter.detach().clone() for layer in layers]
    _multiply(layers)
    now = seen_on(model, call) if layers else None
    if now is None or _distance(now) > _distance(seen):
        _put_back(layers, before)
        return seen
    total |= {layer.name: 1.0 for layer in layers}
    return now


@dataclass(frozen=True)
class _Layer:
    """A layer, the parameter that its output is linear in, and what makes its variance 1."""

    name: str
    parameter: nn.Parameter
    factor: float


def _measured(model: nn.Module, call: Call, targets: Mapping[str, float]) -> list[_Layer]:
    """Layers in training mode, the outputs of those before each one having been scaled.

    Args:
        model: The model.
        call: The example.
        targets: Names of layers, and which variance each is to give.
    """
    found: dict[str, _Layer | None] = {}
    held = Counter(id(p) for module in model.modules() for p in module.parameters(recurse=False))

    def watch(name: str) -> Callable[..., Any]:
        def hook(
            module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: object
        ) -> object:
            if not isinstance(output, Tensor) or not output.is_floating_point():
                return None
            if name not in found:
                parameter = _linear_in(module, args, kwargs, output, held)
                factor = _factor(output, targets[name])
                found[name] = None if parameter is None else _Layer(name, parameter, factor)
            layer = found[name]
            if layer is None or layer.factor == 1:
                return None
            return _with_factor(module, args, kwargs, layer.parameter, layer.factor)

        return hook

    modules = dict(model.named_modules())
    handles = [
        modules[name].register_forward_hook(watch(name), with_kwargs=True)
        for name in targets
        if name in modules
    ]
    try:
        run(model, call, train=True)
    except Exception:  # it may run in evaluation alone
        return []
    finally:
        for handle in handles:
            handle.remove()
    return [layer for layer in found.values() if layer is not None]


def _factor(output: Tensor, target: float) -> float:
    """What gives a variance; 1 where it is nearly that, or out of reach."""
    share = float(output.detach().to(torch.float32).var(correction=0)) / target
    near = THEOREM_1.holds("variance", share) if target == 1 else abs(share - 1) < _NEAR
    return 1.0 if near or not _LEAST <= share <= 1 / _LEAST else share**-0.5


def _linear_in(
    module: nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    output: Tensor,
    held: Mapping[int, int],
) -> nn.Parameter | None:
    """A parameter of this layer alone that its output is linear in; None without one.

    Of a plain layer it is the weight, of one that normalizes its weight the scale.
    """
    for parameter in module.parameters():
        if held[id(parameter)] != 1 or parameter.ndim < 2 or not parameter.is_floating_point():
            continue
        twice = _with_factor(module, args, kwargs, parameter, 2.0)
        thrice = _with_factor(module, args, kwargs, parameter, 3.0)
        if not (isinstance(twice, Tensor) and isinstance(thrice, Tensor)):
            return None
        part, rest = twice - output, thrice - twice
        if bool(part.any()) and bool((part - rest).abs().max() <= _NEAR * part.abs().max()):
            return parameter
    return None


def _with_factor(
    module: nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    parameter: nn.Parameter,
    factor: float,
) -> object:
    """What a layer gives with a parameter multiplied; the parameter is then as it was."""
    before = parameter.detach().clone()
    try:
        parameter.mul_(factor)
        return module.forward(*args, **kwargs)
    finally:
        parameter.copy_(before)


def _outside(seen: Recording) -> list[Layer]:
    return [layer for layer in seen.selus if not THEOREM_1.holds("variance", layer.variance)]


def _distance(seen: Recording) -> float:
    """How far SELUs are out of the range, as logarithms of their variances."""
    return sum(abs(math.log(max(layer.variance, _LEAST))) for layer in _outside(seen))


def _still(seen: Recording, known: set[str]) -> dict[str, float]:
    """Layers next before each SELU that is still outside of the range, and its variance.

    Not those that an earlier SELU has before it: of a stream the last branch alone is scaled.
    """
    found: dict[str, float] = {}
    earlier, outside = set[str](), {layer.index for layer in _outside(seen)}
    for selu in seen.selus:
        names = {layer.module for layer in _next_before(seen, selu)} & known
        if selu.index in outside and _LEAST <= selu.variance < math.inf:
            found |= dict.fromkeys(names - earlier, selu.variance)
        earlier |= names
    return found


def _next_before(seen: Recording, selu: Layer) -> Iterator[Layer]:
    """The layers with weights whose outputs reach a SELU past neither weights nor activations."""
    waiting, done = seen.sources(selu), set[int]()
    while waiting:
        layer = waiting.pop()
        if layer.index in done:
            continue
        done.add(layer.index)
        if layer.role == "linear":
            yield layer
        elif layer.role not in _ENDS:
            waiting += seen.sources(layer)


@torch.no_grad()
def _multiply(layers: Iterable[_Layer]) -> None:
    for layer in layers:
        layer.parameter.mul_(layer.factor)


@torch.no_grad()
def _put_back(layers: Iterable[_Layer], values: list[Tensor]) -> None:
    for layer, value in zip(layers, values, strict=True):
        layer.parameter.copy_(value)
