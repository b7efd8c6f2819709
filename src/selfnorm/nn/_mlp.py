"""The deep plain network that self-normalization makes trainable."""

import copy
import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from selfnorm._parameters import Whole
from selfnorm.errors import ArgumentError
from selfnorm.init import initialize_
from selfnorm.init._tensors import check_dtype
from selfnorm.nn._activations import SELUAlphaDropout
from selfnorm.nn._fused import FusedSequential
from selfnorm.nn._members import MemberLinear
from selfnorm.nn._widths import WEIGHTS, Shape, Weights, check_sizes, hidden_widths
from selfnorm.theory._shaped import GROWTH


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
        members: If given, so many networks in one: every linear layer is a `MemberLinear`, and each
            member has weights and masks of its own. `member(k)` is the k-th as an `MLP`.
        dropout: Rate p of alpha dropout behind every hidden layer. Depth and p have a budget: at
            p = .0232 the gradient keeps its size, at .1 thirty layers shrink it to a twentieth.
        generator: Source of the weights, on their device; torch's default generator if None.
        device: Where the parameters are; torch's default device if None. On the meta device they
            have no values: call `selfnorm.init.initialize_` after `to_empty`.
        dtype: Real floating-point dtype of the parameters, 16 bits or more; torch's default if
            None.

    Attributes:
        members: As given.

    Shape:
        Input (*, in_features), output (*, out_features). With members the input is (members, rows,
        in_features), or (rows, in_features) that all read, and the output (members, rows,
        out_features).

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
        members: int | None = None,
        generator: torch.Generator | None = None,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        sizes = {} if members is None else {"members": members}
        check_sizes(in_features=in_features, out_features=out_features, **sizes)
        check_dtype(torch.get_default_dtype() if dtype is None else dtype, "an MLP")
        if not WEIGHTS.holds(weights):
            raise ArgumentError(f"weights must be {WEIGHTS}; {weights!r} came. Choose one of them.")
        orthogonal = weights == "orthogonal"
        if growth is None:
            growth = GROWTH if orthogonal else math.inf
        shaped_for = None if growth == math.inf else depth
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        fan_in = in_features
        linear = _Linears(members, device, dtype)
        for number, units in enumerate(hidden_widths(width, depth, shape, out_features), 1):
            layers[f"linear{number}"] = linear(fan_in, units)
            selu = SELUAlphaDropout(dropout, depth=shaped_for, growth=growth)
            # The linear layer needs no output of its own for the backward pass: write over it. A
            # SELU in another form needs it, and would copy it.
            selu.inplace = selu.form is None
            layers[f"selu{number}"] = selu
            fan_in = units
        layers["output"] = linear(fan_in, out_features)
        super().__init__(layers)
        self.members = members
        if orthogonal:
            initialize_(self, distribution="orthogonal", generator=generator)
        else:
            initialize_(self, generator=generator)

    def member(self, number: int) -> "MLP":
        """One member as a network of its own, with values of its own; it predicts the same.

        Raises:
            ArgumentError: there is no such member.
        """
        count = self.members
        if count is None or not Whole(0, count).holds(number):
            raise ArgumentError(
                f"A member is a whole number from 0 to {(count or 0) - 1}; {number!r} came. "
                if count
                else f"This MLP is one network, without members; member({number!r}) was asked for. "
                "Make it with members=."
            )
        layers = OrderedDict(
            (
                name,
                layer.member(number) if isinstance(layer, MemberLinear) else copy.deepcopy(layer),
            )
            for name, layer in self._modules.items()
        )
        one = MLP.__new__(MLP)
        nn.Sequential.__init__(one, layers)
        one.members = None
        return one.train(self.training)

    def __getitem__(self, index: Any) -> Any:
        """A layer, or for a slice the `torch.nn.Sequential` of its layers."""
        if isinstance(index, slice):
            return nn.Sequential(OrderedDict(list(self._modules.items())[index]))
        return super().__getitem__(index)


@dataclass
class _Linears:
    """Makes linear layers without values, which would be drawn, and drawn anew by `initialize_`."""

    members: int | None
    device: torch.device | str | int | None
    dtype: torch.dtype | None

    def __call__(self, inputs: int, units: int) -> nn.Module:
        """One of so many inputs and units, of each member."""
        if self.members is None:
            layer, lead = nn.Linear(inputs, units, device="meta", dtype=self.dtype), ()
        else:
            layer = MemberLinear(self.members, inputs, units, device="meta", dtype=self.dtype)
            lead = (self.members,)
        layer.weight = self._parameter(*lead, units, inputs)
        layer.bias = self._parameter(*lead, units)
        return layer

    def _parameter(self, *shape: int) -> nn.Parameter:
        return nn.Parameter(torch.empty(shape, device=self.device, dtype=self.dtype))
