"""How each parameter was drawn: what is written down while a network is made."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


@dataclass(frozen=True)
class Origin:
    """The distribution that a tensor's numbers were drawn from.

    Attributes:
        kind: "normal", "uniform", "cut", "orthogonal" or "constant".
        deviation: Its standard deviation.
        numel: How many numbers were drawn.
    """

    kind: str
    deviation: float
    numel: int


class Origins(TorchFunctionMode):
    """Watches functions that fill tensors."""

    def __init__(self) -> None:
        super().__init__()
        self._found: dict[int, Origin] = {}

    def of(self, model: nn.Module) -> dict[str, Origin]:
        """Of each parameter whose numbers are still such ones, by name."""
        found: dict[str, Origin] = {}
        for name, parameter in model.named_parameters():
            origin = self._found.get(_key(parameter))
            if (
                origin is not None
                and origin.numel == parameter.numel()
                and _fits(parameter, origin)
            ):
                found[name] = origin
        return found

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        first = args[0] if args else kwargs.get("tensor")
        before = first if isinstance(first, Tensor) else None
        old = self._found.get(_key(before)) if before is not None and before.numel() else None
        output = func(*args, **kwargs)
        if isinstance(output, Tensor) and output.numel() and not output.is_meta:
            origin = _origin(name, output, old, args, kwargs)
            if origin is not None:
                self._found[_key(output)] = origin
            elif output is before or name in {"empty", "copy_"}:
                self._found.pop(_key(output), None)
        return output


def _origin(
    name: str, output: Tensor, old: Origin | None, args: Sequence[Any], kwargs: dict[str, Any]
) -> Origin | None:
    """What a function makes of a tensor; None if that is not known, or nothing."""
    n = output.numel()
    if name in _CONSTANT:
        return Origin("constant", 0.0, n)
    if (draw := _DRAWS.get(name)) is not None:
        kind, deviation = draw(output, args, kwargs)
        return Origin(kind, deviation, n)
    if old is None or name not in _SCALES or len(args) < 2 or not isinstance(args[1], int | float):
        return None
    return Origin(old.kind, old.deviation * abs(args[1]) ** _SCALES[name], n)


def _kaiming(kind: str) -> "_Draw":
    def draw(output: Tensor, _args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[str, float]:
        with torch._C.DisableTorchFunction():
            fans = nn.init._calculate_fan_in_and_fan_out(output)
        gain = nn.init.calculate_gain(kwargs["nonlinearity"], kwargs["a"])
        return kind, gain / math.sqrt(fans[kwargs["mode"] == "fan_out"])

    return draw


def _normal(_: Tensor, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[str, float]:
    return "normal", _number(args, kwargs, 2, ("std",), 1.0)


def _uniform(_: Tensor, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[str, float]:
    low = _number(args, kwargs, 1, ("a", "from"), 0.0)
    high = _number(args, kwargs, 2, ("b", "to"), 1.0)
    return "uniform", (high - low) / math.sqrt(12)


def _number(
    args: Sequence[Any], kwargs: dict[str, Any], place: int, names: Sequence[str], otherwise: float
) -> float:
    named = next((kwargs[name] for name in names if name in kwargs), otherwise)
    value = args[place] if len(args) > place else named
    return float(value) if isinstance(value, int | float) else math.nan


_Draw = Callable[[Tensor, Sequence[Any], dict[str, Any]], tuple[str, float]]
_DRAWS: dict[str, _Draw] = {
    "kaiming_uniform_": _kaiming("uniform"),
    "kaiming_normal_": _kaiming("normal"),
    "normal_": _normal,
    "uniform_": _uniform,
    "randn": lambda *_: ("normal", 1.0),
    "rand": lambda *_: ("uniform", math.sqrt(1 / 12)),
    "erfinv_": lambda *_: ("cut", math.nan),  # how torch cuts a normal distribution
}
_CONSTANT = {"zeros", "ones", "zero_", "fill_", "full", "constant_"}
_SCALES = {"mul_": 1, "mul": 1, "__mul__": 1, "__rmul__": 1} | {"div": -1, "div_": -1}


def _fits(parameter: Tensor, origin: Origin) -> bool:
    """Whether the numbers may be such ones: a tensor may have taken the place of another."""
    own = float(parameter.detach().double().std()) if parameter.numel() > 1 else math.nan
    if origin.kind == "constant":
        return own == 0
    if math.isnan(origin.deviation) or not own > 0:
        return False
    allowed = 6 / math.sqrt(parameter.numel()) + 0.01
    return abs(math.log(own / origin.deviation)) < allowed if origin.deviation > 0 else False


def _key(tensor: Tensor) -> int:
    with torch._C.DisableTorchFunction():  # not the model's doing
        plain = not tensor.is_meta and tensor.layout == torch.strided
        return tensor.data_ptr() if plain else 0
