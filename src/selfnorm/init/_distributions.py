"""Draw weights of mean 0 and variance 1/fan_in (LeCun et al. 1998, *Efficient BackProp*, Eq. 16).

A pre-activation `z = sum_i w_i x_i` of `fan_in` inputs of mean 0 and variance 1 has variance
`tau = sum_i w_i**2`, so weights of variance 1/fan_in give `E[tau] = 1`: the value at which SELU's
moments have their fixed point (Klambauer et al. 2017, section 3).
"""

import math
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Literal, cast, get_args

import torch
from torch import Tensor

from selfnorm.errors import ArgumentError, UnsupportedError
from selfnorm.init._orthogonal import orthogonal
from selfnorm.init._tensors import as_stored, blank, check_dtype, check_writable
from selfnorm.theory._numbers import scalar

Distribution = Literal["normal", "uniform", "orthogonal", "isometric"]

_CUT = 2.0  # where the normal distribution is truncated, in its own standard deviations
_INSIDE = math.erf(_CUT / math.sqrt(2.0))  # the probability that the cut keeps
_DENSITY = math.exp(-(_CUT**2) / 2.0) / math.sqrt(2.0 * math.pi)
_FARTHEST = 10.0  # deviations; float64's uniform numbers give normal ones within 8.6
_TRUNCATED_STD = math.sqrt(1.0 - 2.0 * _CUT * _DENSITY / _INSIDE)


def lecun_normal_(
    tensor: Tensor,
    *,
    fan_in: float | None = None,
    truncated: bool = False,
    exact: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Fill a weight in place from a normal distribution of mean 0 and variance 1/fan_in.

    `torch.nn.init.kaiming_normal_(nonlinearity="selu")` is not this: its gain of 3/4 gives variance
    .5625/fan_in (pytorch issue 54055), with which SELU's variance falls to .027 instead of
    staying at 1. `nonlinearity="linear"` would give the right variance for a dense or convolutional
    weight, and the wrong one for a transposed convolution, a packed or a recurrent weight.

    With `truncated=True` the normal distribution is cut at two of its standard deviations and made
    wider by 1/.8796 (from `1 - 4 phi(2) / (2 Phi(2) - 1)`, the variance that the cut leaves), so
    that the variance *after* the cut is 1/fan_in. Weights come from the inverse of the distribution
    function: one uniform number each, hence no rejection loop.

    With `exact=True` each unit's weights are centered and scaled to a sum of squares of
    `terms / fan_in`, in double precision: `omega = 0` and, with the default fan-in, `tau = 1` up
    to the rounding of the weight's dtype. Independent weights only have `omega ~ N(0, 1)`, so 8 %
    of the units meet theorem 1's `|omega| <= .1`. The price is one degree of freedom: a centered
    unit does not see the mean of its inputs, and of two inputs only `(x1 - x2) / sqrt(2)`. Scaling
    moves a truncated or uniform weight's bound by the unit's own factor.

    Args:
        tensor: Weight of shape `(units, inputs, *kernel)`, as in `torch.nn.Linear` and
            `torch.nn.Conv2d` (with groups: `inputs` is what one group reads). Real floating point
            of 16 bits or more, dense, on any device; `requires_grad` stays. The same generator
            state gives the same weights in every dtype (up to rounding) and memory format, as draws
            are made in float64. On the meta device, and without elements, there is nothing to
            fill. Of a `DTensor` the whole weight is drawn, and each process keeps its part.
        fan_in: Number of independent terms in one pre-activation; by default `inputs *
            prod(kernel)`, the number of weights of a unit.
        truncated: Cut the distribution at two standard deviations.
        exact: Center each unit and scale its squares.
        generator: Source of random numbers, on the tensor's device; torch's default if None.

    Returns:
        The same tensor.

    Raises:
        ArgumentError: The tensor has fewer than two dimensions or is lazy, `fan_in` is not a
            positive number or so small that weights may overflow the dtype, the generator is on
            another device, or `exact=True` and a unit has one weight only, which cannot have both
            mean 0 and square 1.
        UnsupportedError: The tensor is not real floating point of 16 bits or more, not dense, has
            elements that share memory, or cannot be written here (`torch.inference_mode`).

    Source: LeCun et al. 1998, *Efficient BackProp*, Eq. 16; Klambauer et al. 2017, section 3.

    Example:
        >>> weight = lecun_normal_(torch.empty(64, 16, 3, 3), exact=True)
        >>> tau = weight.double().square().sum((1, 2, 3))
        >>> bool((tau - 1).abs().max() < 1e-6)
        True
    """
    return _lecun_(tensor, fan_in, Draw("normal", truncated, exact, generator))


def lecun_uniform_(
    tensor: Tensor,
    *,
    fan_in: float | None = None,
    exact: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Fill a weight in place from `U(-sqrt(3 / fan_in), sqrt(3 / fan_in))`: variance 1/fan_in.

    torch's default for `Linear` and `Conv` is uniform too, but to `sqrt(1 / fan_in)`: a third of
    the variance, with which a deep SELU network's signal dies out.

    Args:
        tensor: Weight of shape `(units, inputs, *kernel)`; see `lecun_normal_`.
        fan_in: Number of independent terms in one pre-activation; see `lecun_normal_`.
        exact: Center each unit and scale its squares; see `lecun_normal_`.
        generator: Source of random numbers, on the tensor's device; torch's default if None.

    Returns:
        The same tensor.

    Raises:
        ArgumentError: As for `lecun_normal_`.
        UnsupportedError: As for `lecun_normal_`.

    Source: LeCun et al. 1998, *Efficient BackProp*, Eq. 16.

    Example:
        >>> weight = lecun_uniform_(torch.empty(64, 48))
        >>> bool(weight.abs().max() <= 0.25)  # sqrt(3 / 48)
        True
    """
    return _lecun_(tensor, fan_in, Draw("uniform", exact=exact, generator=generator))


def lecun_orthogonal_(
    tensor: Tensor,
    *,
    fan_in: float | None = None,
    batch_dims: int = 0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Fill a weight in place with a random semi-orthogonal matrix of mean square 1/fan_in.

    With m units of n weights each, all min(m, n) singular values are `sqrt(max(m, n) / fan_in)`.
    So with the default fan-in, n:

    * `m <= n`: the rows are orthonormal, `W W^T = I`. `tau = 1` for each unit, up to rounding.
    * `m > n`: the columns are orthogonal, `W^T W = (m / n) I`. The mean of `(W x)_k**2` over the
      units is the mean of `x_i**2`, for *every* input x; tau is 1 on average over the units.

    For m = n both hold: no direction is amplified, whatever the inputs' correlations, forward or
    backward. Independent weights have singular values from `|1 - sqrt(m / n)|` to `1 + sqrt(m / n)`
    (Marchenko and Pastur), and keep the mean square on average over the weights only.

    The matrix is Haar distributed: the Q of a normal matrix's QR decomposition, with signs that
    make R's diagonal positive. `torch.nn.init.orthogonal_` draws it so, too, and leaves its
    singular values at 1, with which m > n units have variance n/m.

    Args:
        tensor: Weight of shape `(*batch, units, inputs, *kernel)`; see `lecun_normal_`. The
            decomposition is made in float64, so dtypes differ by rounding alone; another number of
            threads or another LAPACK may change float64's last bits.
        fan_in: Number of independent terms in one pre-activation; see `lecun_normal_`.
        batch_dims: Number of dimensions in front that count matrices: 1 for members `(members,
            out, in)` or the gates `(gates, hidden, in)`.
        generator: Source of random numbers, on the tensor's device; torch's default if None.

    Returns:
        The same tensor.

    Raises:
        ArgumentError: As for `lecun_normal_`; or `batch_dims` is negative or no whole number, or
            leaves fewer than two dimensions.
        UnsupportedError: As for `lecun_normal_`.

    Source: Mezzadri 2007, *How to generate random matrices from the classical compact groups*,
    section 5; Saxe, McClelland, Ganguli 2014, *Exact solutions to the nonlinear dynamics of
    learning in deep linear neural networks*, for orthogonal starts.

    Example:
        >>> weight = lecun_orthogonal_(torch.empty(48, 16))
        >>> x = torch.arange(16.0)
        >>> mean_square = (weight @ x).square().mean()
        >>> bool((mean_square / x.square().mean() - 1).abs() < 1e-6)
        True
    """
    return _lecun_(tensor, fan_in, Draw("orthogonal", generator=generator), batch_dims)


@dataclass(frozen=True)
class Draw:
    """How weights are drawn; `fill_` says what of."""

    distribution: Distribution = "normal"
    truncated: bool = False
    exact: bool = False
    generator: torch.Generator | None = None

    def __post_init__(self) -> None:
        named = isinstance(cast("object", self.distribution), str)
        if not named or self.distribution not in get_args(Distribution):
            raise ArgumentError(
                "distribution is 'normal', 'uniform', 'orthogonal' or 'isometric'; got "
                f"{self.distribution!r}. Choose one of the four."
            )
        for name in ("truncated", "exact"):
            if not isinstance(value := getattr(self, name), bool):
                raise ArgumentError(f"{name} is True or False; got {value!r}. Choose one.")
        source = cast("object", self.generator)
        if source is not None and not isinstance(source, torch.Generator):
            raise ArgumentError(
                f"a generator is a torch.Generator; got {source!r}. "
                "Pass torch.Generator().manual_seed(0), or None for torch's default."
            )
        if self.truncated and self.distribution != "normal":
            raise ArgumentError(
                "truncated=True cuts the tails of a normal distribution; got "
                f"distribution={self.distribution!r}, which has none. Leave one of the two out."
            )
        if self.exact and self.orthogonal:
            raise ArgumentError(
                "exact=True centers and scales each unit by itself; got distribution="
                f"{self.distribution!r}, whose units would not be orthogonal then. Leave one of "
                "the two out."
            )

    @property
    def orthogonal(self) -> bool:
        """Whether a unit's weights depend on other units'."""
        return self.distribution in ("orthogonal", "isometric")

    @property
    def independent(self) -> "Draw":
        """The same for weights that no input is multiplied with."""
        return replace(self, distribution="normal") if self.orthogonal else self


def check_drawable(tensor: Tensor, draw: Draw, what: str) -> None:
    """Raise unless `tensor` is of a kind that can hold weights drawn so."""
    if not isinstance(tensor, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UnsupportedError(
            f"{what} must be a tensor, which is written into; got {type(tensor).__name__}. "
            "torch.as_tensor makes one."
        )
    check_writable(tensor, what)
    check_dtype(tensor.dtype, what)
    check_generator(tensor, draw, what)


def check_generator(tensor: Tensor, draw: Draw, what: str) -> None:
    """Raise unless random numbers come from the device on which they are needed."""
    source = draw.generator
    if source is not None and not tensor.is_meta and source.device.type != tensor.device.type:
        raise ArgumentError(
            f"a generator draws on its own device; it is on {source.device} and {what} on "
            f"{tensor.device}. Pass torch.Generator({tensor.device.type!r})."
        )


def check_terms(terms: int, draw: Draw, what: str, remedy: str) -> None:
    """Raise if `exact` asks one weight for mean 0 and square 1."""
    if draw.exact and terms == 1:
        raise ArgumentError(
            "exact=True gives each unit's weights mean 0 and sum of squares 1, for which it needs "
            f"two or more; {what} has one a unit. {remedy}"
        )


def fill_(weight: Tensor, fan_in: float, draw: Draw) -> None:
    """Draw a weight of shape `(matrices, units, *terms)` in place."""
    terms = tuple(range(2, weight.ndim))
    # A fresh contiguous tensor: torch's generators draw otherwise for another memory format.
    values = standard(weight.shape, weight.device, draw)
    if draw.exact:
        values -= values.mean(terms, keepdim=True)
        values *= values.square().mean(terms, keepdim=True).rsqrt()
        # Where a unit's draws are nearly equal, scaling magnifies the rounding of the centering.
        values -= values.mean(terms, keepdim=True)
    if draw.orthogonal:
        matrices = orthogonal(values.flatten(2))
        values = matrices.mul_(math.sqrt(max(matrices.shape[1:]))).reshape(weight.shape)
    weight.copy_(values.mul_(fan_in**-0.5))


def _lecun_(tensor: Tensor, fan_in: float | None, draw: Draw, batch_dims: int = 0) -> Tensor:
    what = "the tensor"
    check_drawable(tensor, draw, what)
    check_dims(tensor, batch_dims)
    units, *inputs = tensor.shape[batch_dims:]
    terms = math.prod(inputs)
    if fan_in is not None:
        fan_in = _positive(fan_in)
        _check_holds(tensor.dtype, fan_in, _farthest(draw, units, terms))
    if tensor.is_meta or tensor.numel() == 0:
        return tensor
    check_terms(terms, draw, what, "Leave exact out.")
    with torch.no_grad():
        values = blank(tensor, tensor.device)
        fill_(values.view(-1, units, *inputs), terms if fan_in is None else fan_in, draw)
        tensor.copy_(as_stored(values, tensor, what))
    return tensor


def check_dims(tensor: Tensor, batch_dims: int) -> None:
    """Raise unless there are units and inputs behind the dimensions that count matrices."""
    given = cast("object", batch_dims)
    if isinstance(given, bool) or not isinstance(given, Integral) or given < 0:
        raise ArgumentError(
            f"batch_dims is the number of dimensions in front of the units'; got {given!r}. "
            "Leave it out for a single weight."
        )
    if tensor.ndim - batch_dims < 2:
        after = f" of which batch_dims counts {batch_dims}" if batch_dims else ""
        raise ArgumentError(
            "a weight has a dimension of units and one or more of inputs; the tensor has shape "
            f"{tuple(tensor.shape)}{after}. For one unit pass tensor.reshape(1, -1), a view of it."
        )


def _positive(fan_in: object) -> float:
    """A fan-in as a float; of a tensor without dimensions, its number."""
    value = scalar(fan_in, "fan_in")
    if not (math.isfinite(value) and value > 0):
        raise ArgumentError(
            f"fan_in is the number of terms in a pre-activation, so positive; got {value:g}. "
            "Leave it out to count the weights of a unit."
        )
    return value


def _farthest(draw: Draw, units: int, terms: int) -> float:
    """The most deviations that a weight may be from 0; a row or column may be one weight's."""
    if draw.distribution == "orthogonal":
        return math.sqrt(max(units, terms))
    return math.sqrt(terms) if draw.exact else _FARTHEST


def _check_holds(dtype: torch.dtype, fan_in: float, farthest: float) -> None:
    """Raise if weights of variance 1/fan_in, so many deviations out, leave a dtype's range."""
    if farthest * fan_in**-0.5 > torch.finfo(dtype).max:
        raise ArgumentError(
            f"weights of variance 1/fan_in must be numbers that {dtype} holds; got fan_in="
            f"{fan_in!r}, of deviation {fan_in**-0.5:.3g}. Leave it out to count the weights of a "
            "unit."
        )


def standard(shape: torch.Size, device: torch.device, draw: Draw) -> Tensor:
    """Independent draws of mean 0 and variance 1."""
    dtype = torch.float32 if device.type == "mps" else torch.float64  # mps has no float64
    values = torch.empty(shape, dtype=dtype, device=device)
    if draw.distribution == "uniform":
        return values.uniform_(-math.sqrt(3.0), math.sqrt(3.0), generator=draw.generator)
    if not draw.truncated:
        return values.normal_(generator=draw.generator)
    values.uniform_(-_INSIDE, _INSIDE, generator=draw.generator).erfinv_()
    bound = _CUT / _TRUNCATED_STD
    return values.mul_(math.sqrt(2.0) / _TRUNCATED_STD).clamp_(-bound, bound)
