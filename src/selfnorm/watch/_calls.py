"""What one call of a torch function is: its role, its weights, and what else the rules ask."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from selfnorm.recording import Weights
from selfnorm.recording._layer import SILENT
from selfnorm.theory._types import FloatArray
from selfnorm.watch._flow import Parameter
from selfnorm.watch._kinds import ACTIVATIONS, CHANNELS_SECOND, ROLE_BY_NAME, in_place, plain_name
from selfnorm.watch._products import PRODUCTS, product
from selfnorm.watch._weights import (
    biases,
    matrix_weights,
    module_bias,
    module_weights,
    padding_share,
    product_weights,
    transposed_padding_share,
)

_PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "conv": ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    "conv_transpose": (
        *("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation"),
    ),
    "linear": ("input", "weight", "bias"),
    "bilinear": ("input1", "input2", "weight", "bias"),
    "addmm": ("bias", "input", "weight"),
    "baddbmm": ("bias", "input"),  # whose weight is a view of a module's
    "dropout": ("input", "p", "training", "inplace"),
    "pad": ("input", "pad", "mode", "value"),
    "batch_norm": ("input", "running_mean", "running_var", "weight", "bias"),
}


@dataclass(frozen=True)
class Call:
    """A call that makes a layer.

    Attributes:
        name: The function's plain name.
        role: As in `Layer`.
        activation: Likewise.
        settings: Likewise.
        in_place: Whether it writes into its first argument.
        channels_second: Whether its units lie along dimension 1; None if it does not say.
    """

    name: str
    role: str
    activation: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    in_place: bool = False
    channels_second: bool | None = None


def describe(
    function: object,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    tracked: Sequence[Tensor],
    owner: nn.Module | None,
) -> Call | None:
    """What a call on activations does; None if it only moves, picks or casts them.

    Args:
        function: What was called.
        args: With these.
        kwargs: And these.
        tracked: The arguments that carry activations.
        owner: The module in whose `forward` the call stands.
    """
    name = plain_name(function)
    role = ROLE_BY_NAME.get(name, "unknown")
    if not role:
        return None
    given = bound(name, args, kwargs)
    writes = in_place(function, given)
    settings: dict[str, Any] = {"inplace": writes}
    if role == "activation":
        settings["ours"] = str(getattr(function, "__module__", "")).startswith("selfnorm")
        settings["keeps_output"] = writes or "dropout" in name
        if given.get("form") is not None:  # of SELU, which then keeps its input
            settings |= {"form": given["form"], "keeps_output": False}
    if "dropout" in name:
        training = name not in {"alpha_dropout", "feature_alpha_dropout", "selu_alpha_dropout"}
        settings["p"] = _probability(given, args, owner, default_training=training)
        if role != "activation" and settings["p"] == 0:
            return None
    if name.startswith("conv"):
        settings["padding"] = _padding(name, given)
    role, more = _refined(name, role, args, kwargs, tracked)
    settings |= more
    if role == "padding" and given.get("mode", "constant") != "constant":
        return None
    if role == "normalization" and not _normalizes(name, owner):
        role = "unknown"
    elif role == "normalization" and _is_zero(given.get("weight", getattr(owner, "weight", None))):
        settings[SILENT] = True
    activation = name.removesuffix("_alpha_dropout") if role == "activation" else ""
    second = any(part in name for part in CHANNELS_SECOND)
    last = role in {"linear", "embedding", "recurrent", "attention"} or "layer_norm" in name
    return Call(name, role, activation, settings, writes, second or (False if last else None))


def _refined(
    name: str,
    role: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    tracked: Sequence[Tensor],
) -> tuple[str, dict[str, Any]]:
    """The role of what a name alone does not tell: sums, products and reductions."""
    if role == "matmul":
        return ("product" if len(tracked) > 1 else "linear"), {}
    if role in {"sum", "times"}:
        return _arithmetic(name, role, args, tracked)
    whole = len(args) + len(kwargs) < 2 or len(tracked) > 1  # of everything, or of two tensors
    if name in {"mean", "sum", "amax", "amin", "max"} and whole:
        return "unknown", {}
    return role, {}


def call_weights(
    call: Call,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    owner: nn.Module | None,
    path: str,
    tracked: Sequence[Tensor],
    origin: Callable[[Tensor], Parameter | None],
    *,
    light: bool = False,
) -> tuple[tuple[Weights, ...], FloatArray]:
    """The weights and biases that a call computes with.

    Args:
        call: What it is.
        args: Its arguments.
        kwargs: And these.
        owner: The module in whose `forward` it stands.
        path: That module's qualified name.
        tracked: Those of the arguments that carry activations.
        origin: The parameter that a tensor is, or is computed from.
        light: Leave out the shape of the weights' distribution, and a module's biases.
    """
    if call.role not in {"linear", "embedding", "recurrent", "attention"}:
        return (), biases([])
    given = bound(call.name, args, kwargs)
    own = given.get("weight")
    if owner is not None and (own is None or _is_its_own(own, owner)):
        weights = module_weights(owner, path, light=light)
        if weights:
            return weights, biases([]) if light else module_bias(owner)
    if call.name in PRODUCTS:
        return _product_weights(call, args, kwargs, tracked, origin), biases([given.get("bias")])
    if not isinstance(own, Tensor) or own.ndim < 2 or call.role != "linear":
        return (), biases([])
    if call.name.startswith("conv_transpose"):
        shell = _transposed(call.name, own, given)
        return module_weights(shell, path), biases([given.get("bias")])
    known = origin(own) or Parameter(f"{path}.weight".strip("."), tuple(own.shape))
    return (matrix_weights(own, known),), biases([given.get("bias")])


def _is_its_own(weight: object, module: nn.Module) -> bool:
    """Whether a weight is the module's, which may be computed anew at each look."""
    computed = parametrize.is_parametrized(module, "weight")
    return computed or weight is getattr(module, "weight", weight)


def _product_weights(
    call: Call,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    tracked: Sequence[Tensor],
    origin: Callable[[Tensor], Parameter | None],
) -> tuple[Weights, ...]:
    """The matrices of a product with a parameter, or with what is computed from one."""
    found = product(call.name, args, kwargs, tracked)
    known = origin(found.weight) if found is not None else None
    if found is None or known is None or found.weight.layout != torch.strided:
        return ()
    return (product_weights(found, known),)


def _transposed(name: str, weight: Tensor, given: Mapping[str, Any]) -> nn.Module:
    """A module that stands for a call of `conv_transpose*`, as its stride decides the fan-in."""
    kind = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}[int(name[-2])]
    groups = given.get("groups", 1)
    shell = kind(
        weight.shape[0],
        weight.shape[1] * groups,
        cast("Any", tuple(weight.shape[2:])),
        stride=given.get("stride", 1),
        groups=groups,
        dilation=given.get("dilation", 1),
        bias=False,
        device="meta",
    )
    shell.weight = nn.Parameter(weight.detach(), requires_grad=weight.requires_grad)
    return shell


def bound(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by name, as far as the rules ask for them."""
    for prefix in (
        "conv_transpose",
        "conv",
        "bilinear",
        "linear",
        "addmm",
        "baddbmm",
        "pad",
        "batch_norm",
    ):
        if name.startswith(prefix):
            return dict(zip(_PARAMETERS[prefix], args, strict=False)) | dict(kwargs)
    if "dropout" in name:
        return dict(zip(_PARAMETERS["dropout"], args, strict=False)) | dict(kwargs)
    return dict(kwargs)


def _probability(
    given: Mapping[str, Any],
    args: Sequence[Any],
    owner: nn.Module | None,
    *,
    default_training: bool,
) -> float:
    """The p of a dropout that is on; 0 where it is off."""
    training = given.get("training", given.get("train", default_training))
    if not training:
        return 0.0
    return float(given.get("p", getattr(owner, "p", 0.5) if len(args) < 2 else args[1]))


def noted(call: Call, tracked: Sequence[Tensor], value: Tensor, *, light: bool) -> Call:
    """What the rules ask of some calls besides, of what they read and give."""
    more: dict[str, Any] = {}
    if call.role == "concatenation":
        more["parts"] = [float(v.detach().square().mean()) for v in tracked if is_float(v)]
    if call.role == "embedding" and not light:
        more["zeros"] = float((value.detach() == 0).all(-1).float().mean())
    return replace(call, settings={**call.settings, **more}) if more else call


def idle_probability(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], owner: nn.Module
) -> float:
    """The p of a call of alpha dropout that is off although its module trains; else 0."""
    if "alpha_dropout" not in name or not owner.training or is_library(owner):
        return 0.0
    given = bound(name, args, kwargs)
    off = not given.get("training", given.get("train", False))
    return float(given.get("p", 0.5)) if off else 0.0


def _arithmetic(
    name: str, role: str, args: Sequence[Any], tracked: Sequence[Tensor]
) -> tuple[str, dict[str, Any]]:
    """Of two activations an addition or a product; of one a scale, by a number if there is one."""
    if len(tracked) > 1 and tracked[0] is not tracked[1]:
        return ("addition" if role == "sum" else "product"), {}
    others = [a for a in args[:2] if not any(a is t for t in tracked)]
    other = others[0] if others else None
    if isinstance(other, int | float):
        factor = float(other) if role == "times" else 1.0
        if "div" in name and factor:
            factor = 1 / factor
        known = role == "times" and name not in {"rtruediv"}
        return "scale", {"by": "number"} | ({"factor": factor} if known else {})
    by = "parameter" if isinstance(other, Tensor) and other.ndim else "number"
    return "scale", {"by": by} | ({SILENT: True} if role == "times" and _is_zero(other) else {})


def _is_zero(value: object) -> bool:
    """Whether it is a parameter of zeros alone, as a layer scale or a block's last norm has."""
    return isinstance(value, nn.Parameter) and not bool(value.detach().any())


def _padding(name: str, given: Mapping[str, Any]) -> float:
    """Share of a convolution's terms that are zeros from its padding or beyond its edge."""
    values, weight = given.get("input"), given.get("weight")
    if not isinstance(values, Tensor) or not isinstance(weight, Tensor):
        return 0.0
    kernel = tuple(weight.shape[2:])
    dims = len(kernel)
    shape = tuple(values.shape[-dims:])
    stride, dilation = (_tuple(given.get(key, 1), dims) for key in ("stride", "dilation"))
    padding = given.get("padding", 0)
    if padding == "valid":
        return 0.0
    pads = (
        tuple(d * (k - 1) // 2 for d, k in zip(dilation, kernel, strict=True))
        if padding == "same"
        else _tuple(padding, dims)
    )
    if not name.startswith("conv_transpose"):
        return padding_share(shape, kernel, stride, pads, dilation)
    extra = _tuple(given.get("output_padding", 0), dims)
    outputs = [
        (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        for n, s, p, d, k, e in zip(shape, stride, pads, dilation, kernel, extra, strict=True)
    ]
    return transposed_padding_share(shape, outputs, kernel, stride, pads, dilation)


def _tuple(value: Any, dims: int) -> tuple[int, ...]:
    return (int(value),) * dims if isinstance(value, int) else tuple(value) * (dims // len(value))


def _normalizes(name: str, owner: nn.Module | None) -> bool:
    return name != "local_response_norm" and not isinstance(owner, nn.LocalResponseNorm)


def is_library(module: nn.Module) -> bool:
    """Whether a module's `forward` is torch's or ours, so that it is one layer by its own name."""
    home = inspect.getmodule(getattr(type(module), "forward", None))  # of a scripted one none
    name = "" if home is None else home.__name__
    return name.startswith(("torch.nn.", "selfnorm.nn", "torch.ao.nn"))


def is_float(value: object) -> bool:
    """Whether a value is a tensor that the statistics can take."""
    return isinstance(value, Tensor) and value.is_floating_point() and value.layout == torch.strided


__all__ = ["ACTIVATIONS", "Call", "bound", "call_weights", "describe", "is_float", "is_library"]


_ASKS_FOR_GRADIENTS = cast("Any", Tensor).requires_grad.__set__


def called(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """A call; what asks a hidden state for gradients is let be, as inputs have them here."""
    if func == _ASKS_FOR_GRADIENTS and not args[0].is_leaf:
        return None
    return func(*args, **kwargs)
