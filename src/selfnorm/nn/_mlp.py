"""The deep plain network that self-normalization makes trainable."""

import math
from collections import OrderedDict
from typing import Any, Literal, get_args

import torch
from torch import nn

from selfnorm._parameters import Choice
from selfnorm.errors import ArgumentError
from selfnorm.init import initialize_
from selfnorm.init._tensors import check_dtype
from selfnorm.nn._activations import GROWTH, SELUAlphaDropout
from selfnorm.nn._fused import FusedSequential
from selfnorm.nn._widths import Shape, check_sizes, hidden_widths

Weights = Literal["lecun", "orthogonal"]
_WEIGHTS = Choice(get_args(Weights))


class MLP(FusedSequential):
    """A self-normalizing network: `depth` times linear, SELU, alpha dropout; then a linear output.

    Weights are LeCun-normal and biases zero, so on inputs of mean 0 and variance 1 the activations
    of wide layers have mean near 0 and variance near 1, at any depth. Narrow layers stray, as a
    unit's few weights do: 16 layers down the variance is within .9 to 1.07 at width 128, .7 to 1.26
    at 32, and anywhere from .01 to 2.1 at 3 (95 % of networks). A conic network ends in such layers
    if it has few outputs. The layers are named `linear1`, `selu1`, ..., `output`, and run as one
    node of autograd's graph, as of every `FusedSequential`.

    Orthogonal weights keep lengths, so that of the layers SELU alone lets gradients grow; with them
    it is shaped for the depth where that asks for it, as `selfnorm.nn.SELU(depth=depth)`.

    Args:
        in_features: Number of inputs.
        out_features: Number of outputs; the output layer has no activation.
        width: Units of the first hidden layer.
        depth: Number of hidden layers.
        shape: `rectangular`, every hidden layer `width` wide; or `conic`, the widths fall
            geometrically from `width` toward `out_features`.
        weights: `lecun`, normal of variance 1 / fan_in; or `orthogonal`.
        growth: How much the second moment of gradients may grow through the SELUs: each is shaped
            for that. If None it is 2 with orthogonal weights, and SELU is SELU with LeCun's;
            infinite for SELU itself with either.
        dropout: Rate p of alpha dropout behind every hidden layer. Depth and p have a budget: at
            p = .0232 the gradient keeps its size, at .1 thirty layers shrink it to a twentieth.
        generator: Source of the weights, on their device; torch's default generator if None.
        device: Where the parameters are; torch's default device if None. On the meta device they
            have no values: call `selfnorm.init.initialize_` after `to_empty`.
        dtype: Real floating-point dtype of the parameters, 16 bits or more; torch's default if
            None.

    Shape:
        Input (*, in_features), output (*, out_features).

    Raises:
        ArgumentError: a size is no whole number of 1 or more, the shape or the weights are unknown,
            p is outside [0, 1], growth is not above 1, or the generator is on another device.
        UnsupportedError: weights cannot be of this dtype.

    Source: Klambauer et al. 2017, sections 2 (weights, alpha dropout) and 4 (the two shapes).

    Example:
        >>> _ = torch.manual_seed(0)
        >>> model = MLP(20, 3, width=256, depth=100)
        >>> hidden = model[:-1](torch.randn(512, 20))
        >>> bool(0.8 < hidden.var() < 1.5), bool(abs(hidden.mean()) < 0.1)
        (True, True)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        width: int = 128,
        depth: int = 8,
        shape: Shape = "rectangular",
        dropout: float = 0.0,
        weights: Weights = "lecun",
        growth: float | None = None,
        generator: torch.Generator | None = None,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_sizes(in_features=in_features, out_features=out_features)
        check_dtype(torch.get_default_dtype() if dtype is None else dtype, "an MLP")
        if not _WEIGHTS.holds(weights):
            raise ArgumentError(
                f"weights must be {_WEIGHTS}; {weights!r} came. Choose one of them."
            )
        orthogonal = weights == "orthogonal"
        if growth is None:
            growth = GROWTH if orthogonal else math.inf
        shaped_for = None if growth == math.inf else depth
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        fan_in = in_features
        for number, units in enumerate(hidden_widths(width, depth, shape, out_features), 1):
            layers[f"linear{number}"] = _linear(fan_in, units, device, dtype)
            selu = SELUAlphaDropout(dropout, depth=shaped_for, growth=growth)
            # The linear layer needs no output of its own for the backward pass: write over it. A
            # SELU in another form needs it, and would copy it.
            selu.inplace = selu.form is None
            layers[f"selu{number}"] = selu
            fan_in = units
        layers["output"] = _linear(fan_in, out_features, device, dtype)
        super().__init__(layers)
        if orthogonal:
            initialize_(self, distribution="orthogonal", generator=generator)
        else:
            initialize_(self, generator=generator)

    def __getitem__(self, index: Any) -> Any:
        """A layer, or for a slice the `torch.nn.Sequential` of its layers."""
        if isinstance(index, slice):
            return nn.Sequential(OrderedDict(list(self._modules.items())[index]))
        return super().__getitem__(index)


def _linear(
    inputs: int, units: int, device: torch.device | str | int | None, dtype: torch.dtype | None
) -> nn.Linear:
    """A linear layer without values: they would be drawn, and drawn anew by `initialize_`."""
    layer = nn.Linear(inputs, units, device="meta", dtype=dtype)
    layer.weight = nn.Parameter(torch.empty(units, inputs, device=device, dtype=dtype))
    layer.bias = nn.Parameter(torch.empty(units, device=device, dtype=dtype))
    return layer
