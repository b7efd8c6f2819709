"""What an audit records of a layer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from selfnorm.theory._types import FloatArray

if TYPE_CHECKING:
    from selfnorm.theory import Moments

INPUT = -1
"""Stands for the model's inputs where layers are counted from 0."""
CURVE = "curve"
"""Of a layer's settings: places and values of an activation that was called with parameters."""
SILENT = "silent"
"""Of a layer's settings: what it multiplies by is a parameter of zeros alone."""
FORWARD = "the forward that computes it"
"""What computes a weight that is of another size than the parameter that it is computed from."""


@dataclass(frozen=True)
class Histogram:
    """Counts of a sample of values between equally spaced edges."""

    edges: FloatArray
    counts: FloatArray


class Sampled(Protocol):
    """The shape of a distribution, from a sample of rows and units."""

    @property
    def saturated(self) -> float:
        """As `Layer.saturated`, and so are all others."""
        ...

    @property
    def kurtosis(self) -> float: ...

    @property
    def correlation(self) -> float: ...

    @property
    def correlation_size(self) -> float: ...

    @property
    def histogram(self) -> Histogram: ...


class Theory(Protocol):
    """What the theory makes of layers, by their indices; worked out when it is first asked for."""

    def predicted(self, index: int) -> "Moments | None":
        """From the moments of the model's input, through all that stands before."""
        ...

    def local(self, index: int) -> "Moments | None":
        """From what was measured of the layers that it reads."""
        ...


@dataclass(frozen=True)
class Weights:
    """What the theory asks of one weight: sum and sum of squares, unit by unit.

    Attributes:
        name: Qualified name of the parameter.
        shape: Its shape.
        omega: Sum of the weights of each unit.
        tau: Their sum of squares, in units of what LeCun's initialization has, so that 1 is right
            for every kind of layer (a gate's `weight_ih` holds only a part of what a unit sums).
        fan_in: How many terms a unit sums.
        terms: How many weights of this parameter a unit has.
        kurtosis: Of the weights: 3 if normal, 1.8 if uniform, 2.4 if cut at two deviations.
        gram_error: How far the weight is from orthogonal: the spectral norm of
            `A^T A / s**2 - I`, as in `selfnorm.optim.keep_orthogonal`, .92 to 1 of it; the largest
            of its matrices; a convolution is one of out x (in * kernel). nan above .5, and for what
            is looked up.
        frozen: Whether the parameter is kept from training.
        zeros: Share of the weights that are exactly 0.
        computed: By what the weight is computed from other parameters: names of parametrizations,
            or of what older hooks left, or `FORWARD`; "" for a parameter.
        fan_ins: Of each phase, where they differ.
        drawn: Whether `selfnorm.init.initialize_` draws it.
        factor: What its product is multiplied by, if that counts as a part of it, as `1/sqrt(n)`
            of weights of variance 1; omega and tau have it.
    """

    name: str
    shape: tuple[int, ...]
    omega: FloatArray
    tau: FloatArray
    fan_in: int
    terms: int
    kurtosis: float
    frozen: bool
    gram_error: float = np.nan
    zeros: float = 0.0
    computed: str = ""
    fan_ins: tuple[int, ...] = ()
    drawn: bool = True
    factor: float = 1.0

    @property
    def mean_fan_in(self) -> float:
        """Over the units: those of a transposed convolution's phases differ."""
        return sum(self.fan_ins) / len(self.fan_ins) if self.fan_ins else float(self.fan_in)

    @property
    def count(self) -> int:
        """How many weights there are in all."""
        return int(np.prod(self.shape))


@dataclass(frozen=True)
class Layer:
    """One use of one module, or one call of a function, in the order of the forward pass.

    Mean, variance and everything of single units are taken over the whole batch (and the positions
    of images and sequences); saturation, kurtosis, correlation and the histogram over a sample of
    rows and units.

    Attributes:
        index: Its place in `Report.layers`.
        name: What to call it: the module's name; with the function's, if the call stands in a
            `forward` (`blocks.0.selu()`); numbered from the second use on (`act (use 2)`).
        module: Qualified name of the module that it is or that calls it.
        kind: Name of the class, or of the function: `Linear`, `selu()`.
        role: What it does: "linear", "activation", "dropout", "alpha dropout", "normalization",
            "pooling", "aggregation" (of neighbors, by a matrix or an index that is not learned),
            "addition", "concatenation", "scale", "product", "embedding", "recurrent", "attention",
            "padding" or "unknown".
        activation: Which function an activation is: "selu", "relu", ...; else "".
        use: 1 for the first use of the module in a pass, 2 for the second.
        inputs: Indices of the layers that it reads, through reshapes; -1 is the model's input.
        shape: Shape of its output in the first batch.
        dtype: Of its output.
        mean: Over all units and rows.
        variance: Over all units and rows: the mean of the units' variances plus the variance of
            their means.
        unit_means: Of each unit.
        unit_variances: Of each unit.
        dead: Share of the units that have one value for the whole batch; nan for a single row.
        non_finite: Whether there are infinities or nan.
        gradient: Root mean square of the gradient by its output; nan if none arrives.
        gradient_in: The same by its input.
        gradient_norm: Norm of the gradient by its output, of one sample. Theory keeps it, whatever
            the widths.
        theory: What `predicted` and `local` ask; None if nobody worked that out.
        sample: What `saturated`, `kurtosis`, `correlation`, `correlation_size` and `histogram`
            ask: in small networks each is worked out when it is asked for.
        data_gain: What a linear layer or a convolution does to the mean square of this very data,
            `|Wx|^2 / |x|^2 * fan_in / fan_out` as a ratio of sums: the mean square of its output
            without the bias, by that of the terms that its units sum. Of a convolution these are
            the values in its windows, zeros from padding included, of a transposed one those that
            the taps of an output's phase reach. tau where inputs are independent, more where
            weights are aligned with directions in which they vary together. nan for other layers
            (bilinear, recurrent, attention), and where all inputs are 0.
        weights: Of linear, recurrent, attention and embedding layers.
        bias: Every bias, flattened; empty if there is none.
        settings: What else matters: `p`, `inplace`, `padding` (share of zeros that a convolution
            sums), `factor`; of a SELU in another form its `form`, a `selfnorm.theory.SELUForm`;
            of an activation that was called with parameters its `curve`, (places, values).
    """

    index: int
    name: str
    module: str
    kind: str
    role: str
    activation: str
    use: int
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: str
    mean: float
    variance: float
    unit_means: FloatArray = field(repr=False)
    unit_variances: FloatArray = field(repr=False)
    dead: float
    non_finite: bool
    gradient: float
    gradient_in: float
    gradient_norm: float
    sample: Sampled = field(repr=False, compare=False)
    theory: "Theory | None" = field(default=None, repr=False, compare=False)
    data_gain: float = np.nan
    weights: tuple[Weights, ...] = field(default=(), repr=False)
    bias: FloatArray = field(default_factory=lambda: np.zeros(0), repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def saturated(self) -> float:
        """Share of values where an activation's slope is below 1 % of its largest.

        Of a ReLU's those that are 0; nan for other layers.
        """
        return self.sample.saturated

    @property
    def kurtosis(self) -> float:
        """Fourth moment by squared variance: 3 if normal."""
        return self.sample.kurtosis

    @property
    def correlation(self) -> float:
        """Mean correlation between two units."""
        return self.sample.correlation

    @property
    def correlation_size(self) -> float:
        """Its root mean square, less what the sample alone would show."""
        return self.sample.correlation_size

    @property
    def histogram(self) -> Histogram:
        """Of a sample of values."""
        return self.sample.histogram

    @property
    def predicted(self) -> "Moments | None":
        """Mean and variance by the theory; None where it cannot follow.

        From the input's moments and the weights, activations and dropout on the way.
        """
        return None if self.theory is None else self.theory.predicted(self.index)

    @property
    def local(self) -> "Moments | None":
        """The same from the measured moments of the layers that it reads."""
        return None if self.theory is None else self.theory.local(self.index)

    @property
    def silent(self) -> bool:
        """Whether it multiplies by 0, as the last layer of a branch that starts at nothing does."""
        zeros = bool(self.weights) and not any(weights.tau.any() for weights in self.weights)
        return zeros or bool(self.settings.get(SILENT))

    @property
    def tau(self) -> float:
        """Mean sum of squares of a unit's weights; nan without weights."""
        return float(np.mean([w.tau.mean() for w in self.weights])) if self.weights else np.nan

    @property
    @np.errstate(over="ignore")
    def omega_size(self) -> float:
        """Root mean square of the sums of the units' weights; nan without weights."""
        if not self.weights:
            return np.nan
        return float(np.sqrt(np.mean([np.mean(w.omega**2) for w in self.weights])))

    @property
    def second_moment(self) -> float:
        """Mean square of the values."""
        return self.variance + self.mean * self.mean  # inf, where a power raises


@dataclass(frozen=True)
class Features:
    """The moments of what the model is given, where a layer with weights first reads it.

    Attributes:
        reader: Index of the layer that reads it.
        mean: Over everything.
        variance: Over everything.
        means: Of each feature: a column of a table, a channel of an image.
        variances: Of each feature.
        low: Smallest value.
        high: Largest value.
        rows: How many values each feature has.
        correlation: Mean correlation between two features.
        correlation_size: Its root mean square, less what the sample alone would show.
        row_spread: Deviation of the rows' mean squares, relative to their mean: sqrt(2/n) for n
            normal features; nan of images.
        rarity: Fourth moment by squared variance, the median over the features: 3 if normal, some
            1/p of a feature that is there with probability p.
        computed: Whether the model made it of what it is given, as an encoding of a time.
    """

    reader: int
    mean: float
    variance: float
    means: FloatArray
    variances: FloatArray
    low: float
    high: float
    rows: int
    correlation: float
    correlation_size: float
    row_spread: float = np.nan
    rarity: float = np.nan
    computed: bool = False


def is_strange(weights: Weights) -> bool:
    """Whether `initialize_` draws a weight only if its fan-in is named."""
    return not weights.drawn and not weights.computed and len(weights.shape) > 1
