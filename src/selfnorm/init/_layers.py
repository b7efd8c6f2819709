"""Which numbers each of torch's layers starts from, and which of its weights sum into one unit.

The fan-in of a unit is the number of independent unit-variance terms that its pre-activation sums.
For most layers that is the number of weights in one row of the weight; where it is not, the
functions below say why.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch

from torch import Tensor, nn

from selfnorm.init._convolutions import fill_operators_
from selfnorm.init._distributions import Draw, fill_
from selfnorm.init._matrices import Matrices

Views = Callable[[Tensor], list[Tensor]]
"""A weight as views of shape `(matrices, units, *terms)`."""


def _rows(weight: Tensor) -> list[Tensor]:
    return [weight.unsqueeze(0)]


def _blocks(units: int) -> Views:
    """Matrices of so many units below each other; of a piece of a weight, its rows."""

    def blocks(weight: Tensor) -> list[Tensor]:
        if not weight.numel() or weight.shape[0] % units:
            return _rows(weight)
        return [weight.unflatten(0, (-1, units))]

    return blocks


@dataclass(frozen=True)
class Weight:
    """A parameter that is drawn; what no unit covers is zero."""

    name: str
    fan_in: int | None = None  # None: as many as a unit has weights
    views: Views = _rows
    multiplies: bool = True  # False: its rows are looked up, or stand for themselves
    overlaps: bool = False  # a kernel of windows that all of its taps share with others

    def groups(self, tensor: Tensor) -> list[Matrices]:
        """Units with equally many weights."""
        return [
            Matrices(view, self.fan_in or math.prod(view.shape[2:]))
            for view in self.views(tensor)
            if view.numel()
        ]

    def matrices(self, tensor: Tensor) -> list[Matrices]:
        """What inputs are multiplied with: the groups, or none of a weight that is looked up.

        Of a tensor of two dimensions or more. Every weight that a unit covers is in one of them.
        """
        return self.groups(tensor) if self.multiplies else []

    def mean_square(self, tensor: Tensor) -> float:
        """The variance that the weights will have, averaged over the groups."""
        variances = [1 / group.fan_in for group in self.groups(tensor)]
        return sum(variances) / max(len(variances), 1)

    def write_(self, tensor: Tensor, draw: Draw) -> None:
        """Draw every group, in order."""
        tensor.zero_()
        draw = draw if self.multiplies else draw.independent
        for group in self.groups(tensor):
            if self.overlaps and draw.distribution == "isometric":
                fill_operators_(group.view, draw)
            else:
                fill_(group.view, group.fan_in, draw)


@dataclass(frozen=True)
class Constant:
    """A parameter or buffer that starts from one value."""

    name: str
    value: float = 0.0
    counts: bool = False  # a whole number

    def mean_square(self, _tensor: Tensor) -> float:
        """The square of the value."""
        return self.value**2

    def write_(self, tensor: Tensor, _draw: Draw) -> None:
        """Write the value everywhere."""
        tensor.fill_(self.value)


Entry = Weight | Constant


@singledispatch
def entries(_module: nn.Module) -> list[Entry]:
    """What the module's own parameters start from; nothing for a class that is not known.

    Names that a module leaves as None (`bias=False`) are listed all the same.
    """
    return []


@entries.register(nn.Linear | nn.Bilinear)
def _(_module: nn.Module) -> list[Entry]:
    """A row of the weight holds what one unit sums.

    Bilinear, `y_k = sum_ij W_kij x_i x'_j`: the product of independent standard inputs has variance
    1, so in1 * in2. (torch's default takes in1.)
    """
    return [Weight("weight"), Constant("bias")]


@entries.register(nn.Conv1d | nn.Conv2d | nn.Conv3d)
def _(module: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> list[Entry]:
    """A unit sums in / groups * prod(kernel) terms, dilated or not; a group is a matrix.

    The weight is `(out, in / groups, *kernel)`. Where zero padding enters the window there are
    fewer terms, so the variance is lower along the border.
    """
    blocks = _blocks(module.out_channels // module.groups)
    overlaps = math.prod(module.stride) == 1 < math.prod(module.kernel_size)
    return [Weight("weight", views=blocks, overlaps=overlaps), Constant("bias")]


@entries.register(nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d)
def _(module: nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d) -> list[Entry]:
    """Each output position of a transposed convolution sums the taps of its own phase only.

    The weight is `(in, out / groups, *kernel)`, and input i reaches output o through tap k where
    `o = stride * i - padding + dilation * k`. So position o sums the taps with `dilation * k =
    o + padding (mod stride)`: every p-th one, `p = stride / gcd(stride, dilation)`. Phase j < p has
    `ceil((kernel - j) / p)` taps, and its fan-in is in / groups times the product of that over the
    dimensions. Where p divides the kernel all phases have in / groups * prod(kernel / p) terms;
    else they differ (kernel 3, stride 2 in two dimensions: 4, 2, 2 and 1 taps), and one variance
    for the whole weight would leave a checkerboard, so each phase gets its own. Positions that no
    tap reaches (kernel < stride, or gcd > 1) hold the bias alone, whatever the weights.

    torch counts out / groups * prod(kernel) in all of its initializers: the fan-in of a
    convolution's weight, whose first dimension is the output.
    """
    stride, dilation, groups = module.stride, module.dilation, module.groups
    steps = [s // math.gcd(s, d) for s, d in zip(stride, dilation, strict=True)]

    def phases(weight: Tensor) -> list[Tensor]:
        if not weight.numel():
            return []
        # (groups, out / groups, in / groups, *kernel)
        grouped = weight.unflatten(0, (groups, weight.shape[0] // groups)).transpose(1, 2)
        starts = itertools.product(
            *(range(min(p, k)) for p, k in zip(steps, weight.shape[2:], strict=True))
        )
        return [
            grouped[(..., *(slice(j, None, p) for j, p in zip(phase, steps, strict=True)))]
            for phase in starts
        ]

    return [Weight("weight", views=phases), Constant("bias")]


@entries.register(nn.Embedding | nn.EmbeddingBag)
def _(module: nn.Embedding | nn.EmbeddingBag) -> list[Entry]:
    """A look-up is a sum of one term, so rows of variance 1; the padding row is zero.

    `exact=True` gives each row mean 0 and mean square 1: whatever the frequencies of the tokens,
    the next layer reads standard inputs. A bag of L rows has variance L (`mode="sum"`) or 1/L
    (`"mean"`); L is the data's, so the rows are scaled for a bag of one. `max_norm`, which shrinks
    rows at look-up, keeps the variance only where it is above sqrt(embedding_dim).
    """
    padding = module.padding_idx

    def rows(weight: Tensor) -> list[Tensor]:
        parts = [weight] if padding is None else [weight[:padding], weight[padding + 1 :]]
        return [part.unsqueeze(0) for part in parts]

    return [Weight("weight", fan_in=1, views=rows, multiplies=False)]


@entries.register(nn.RNNBase)
def _(module: nn.RNNBase) -> list[Entry]:
    directions = ("", "_reverse") if module.bidirectional else ("",)
    states = module.proj_size or module.hidden_size
    return [
        entry
        for layer in range(module.num_layers)
        for direction in directions
        for entry in _gates(
            f"_l{layer}{direction}",
            states * len(directions) if layer else module.input_size,
            states,
            module.hidden_size,
        )
    ]


@entries.register(nn.RNNCellBase)
def _(module: nn.RNNCellBase) -> list[Entry]:
    return _gates("", module.input_size, module.hidden_size, module.hidden_size)


def _gates(suffix: str, inputs: int, states: int, hidden: int) -> list[Entry]:
    """A gate's unit reads the input and the state, so its fan-in is the sum of their sizes.

    `z = W_ih x + W_hh h` is one unit with one weight vector `(w_ih, w_hh)`. With each matrix scaled
    by its own size the two terms would add up to variance 2. With the sum, z has variance 1 for
    unit-variance x and h, and less where h is smaller (at the first step, or squashed by tanh).
    `exact=True` centers the two parts apart, as x and h need not share a mean, and gives them
    squares that sum to `input / (input + state)` and `state / (input + state)`. An LSTM's
    projection `W_hr` reads the hidden units alone. All biases are zero, the forget gate's too.
    """
    gates = _blocks(hidden)
    return [
        Weight(f"weight_ih{suffix}", fan_in=inputs + states, views=gates),
        Weight(f"weight_hh{suffix}", fan_in=inputs + states, views=gates),
        Weight(f"weight_hr{suffix}"),
        Constant(f"bias_ih{suffix}"),
        Constant(f"bias_hh{suffix}"),
    ]


@entries.register(nn.MultiheadAttention)
def _(module: nn.MultiheadAttention) -> list[Entry]:
    """Queries, keys and values get variance 1, whether their weights are packed or apart.

    The packed `in_proj_weight (3 E, E)` is three matrices of fan-in E; apart they read E, kdim and
    vdim. `bias_k` and `bias_v` are a learned token beside the projected keys and values, not
    offsets, so they have the variance of those, 1. The output projection is a Linear of its own.
    Attention averages values, so its output has variance below 1 whatever the weights.
    """
    return [
        Weight("in_proj_weight", views=_blocks(module.embed_dim)),
        *(Weight(f"{name}_proj_weight") for name in "qkv"),
        *(Weight(name, fan_in=1, multiplies=False) for name in ("bias_k", "bias_v")),
        Constant("in_proj_bias"),
    ]


@entries.register(
    nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.SyncBatchNorm
    | nn.InstanceNorm1d | nn.InstanceNorm2d | nn.InstanceNorm3d
    | nn.LayerNorm | nn.GroupNorm | nn.RMSNorm
)  # fmt: skip
def _(_module: nn.Module) -> list[Entry]:
    """The identity: scale 1, offset 0; statistics gathered under the old weights are void."""
    return [
        Constant("weight", 1.0),
        Constant("bias"),
        Constant("running_mean"),
        Constant("running_var", 1.0),
        Constant("num_batches_tracked", counts=True),
    ]


@entries.register(nn.PReLU)
def _(module: nn.PReLU) -> list[Entry]:
    return [Constant("weight", module.init)]
