"""Inputs brought to mean 0 and variance 1, as a part of the network."""

# ruff: noqa: A002 - `input` is what torch calls it

from collections.abc import Iterable, Iterator
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from torch.jit import (
    is_scripting,  # pyright: ignore[reportPrivateImportUsage]
    is_tracing,  # pyright: ignore[reportPrivateImportUsage]
)

from selfnorm._given import as_batch
from selfnorm.errors import ArgumentError, UnsupportedError
from selfnorm.nn._widths import check_sizes


class Standardize(nn.Module):
    """Brings every feature to mean 0 and variance 1, by statistics of the training data.

        output = (input - mean) / sqrt(variance)

    Self-normalization starts from such inputs, and every layer inherits what the first one gets.
    As a module the statistics go where the network goes: into its `state_dict`, to its device, into
    what is exported. It is no batch normalization: training and evaluation compute the same, and
    the rows of a batch do not see each other.

    Statistics come from `fit`, of a tensor or of all batches of a loader; or, with `running`, from
    each batch that comes by in training, all counted alike, as where data are found on the way
    (reinforcement learning). Until then mean is 0 and variance 1: nothing changes.

    Args:
        features: How many there are.
        dim: The dimension along which they lie; all others are counted together. Images have their
            channels in dimension 1.
        running: Take the statistics from what is seen in training mode, from the very batch on that
            they are used for; they are frozen in evaluation.
        device: Where the statistics are; torch's default device if None.
        dtype: Their dtype; torch's default if None.

    Shape:
        Any, with `features` in dimension `dim`; the output has the same.

    Attributes:
        mean: Of each feature, (features,).
        variance: Of each feature, that of the population, (features,). Where it is 0 the feature
            has one value, which becomes 0.
        rows: How many values of each feature were counted; 0 before any was.

    Raises:
        ArgumentError: `features` is no whole number of 1 or more, or, when called or fitted, the
            input has not that many along `dim`, or values are not finite (`fit` alone looks).

    Source: Klambauer et al. 2017, section 3; means and variances are merged as in Chan, Golub and
    LeVeque 1983.

    Example:
        >>> x = torch.tensor([[100.0, 1], [300, 1], [500, 1]])
        >>> layer = Standardize(2).fit(x)
        >>> layer(x)
        tensor([[-1.2247,  0.0000],
                [ 0.0000,  0.0000],
                [ 1.2247,  0.0000]])
    """

    mean: Tensor
    variance: Tensor
    rows: Tensor

    def __init__(
        self,
        features: int,
        *,
        dim: int = -1,
        running: bool = False,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_sizes(features=features)
        self.features, self.dim, self.running = features, dim, running
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        self.register_buffer("mean", torch.zeros(features, **where))
        self.register_buffer("variance", torch.ones(features, **where))
        self.register_buffer("rows", torch.zeros((), device=device, dtype=torch.int64))

    def forward(self, input: Tensor) -> Tensor:
        """The input, standardized."""
        if not (is_scripting() or is_tracing()):  # TorchScript keeps the statistics as they are
            rows = self._rows(input)
            if self.running and self.training:
                self._count(rows.detach())
        shape = [1] * input.dim()
        shape[self.dim] = self.features
        scale = torch.where(self.variance > 0, self.variance, 1).rsqrt()
        return (input - self.mean.view(shape)) * scale.view(shape)

    @torch.no_grad()
    def fit(self, inputs: object) -> Self:
        """Take the statistics of these data; what was counted before is forgotten.

        Args:
            inputs: A tensor, or an iterable of batches such as a `DataLoader`; a batch
                `(x, ..., y)` begins with the input.

        Returns:
            The module itself.

        Raises:
            ArgumentError: There are no rows, another number of features, or values that are not
                finite; the statistics are then those from before.
            UnsupportedError: A batch is no tensor and does not begin with one.
        """
        new = Standardize(self.features, dim=self.dim, dtype=torch.float64)
        for batch in _batches(inputs):
            rows = new._rows(batch)
            if not bool(rows.isfinite().all()):
                raise ArgumentError(
                    "Statistics are taken of finite values; nan or infinity came. Fill or drop "
                    "missing values first."
                )
            new._count(rows.cpu())
        if not int(new.rows):
            raise ArgumentError("Statistics need at least one row; none came. Pass the data.")
        self.load_state_dict(new.state_dict())
        return self

    def extra_repr(self) -> str:
        """The arguments, as `print(module)` shows them."""
        return f"{self.features}, dim={self.dim}, running={self.running}"

    def _rows(self, input: Tensor) -> Tensor:
        """The values as (rows, features)."""
        dims = input.dim()
        if not -dims <= self.dim < dims or input.shape[self.dim] != self.features:
            raise ArgumentError(
                f"The input must have {self.features} features along dimension {self.dim}; got "
                f"shape {tuple(input.shape)}. Another `dim` counts others: 1 is for images."
            )
        return input.movedim(self.dim, -1).reshape(-1, self.features)

    @torch.no_grad()
    def _count(self, rows: Tensor) -> None:
        """Merge the moments of these rows with those of all before."""
        if not len(rows):
            return
        exact = torch.float32 if rows.device.type == "mps" else torch.float64  # it has no other
        rounding = torch.finfo(rows.dtype).eps if rows.is_floating_point() else 0.0
        variance, mean = torch.var_mean(rows.to(exact), 0, correction=0)
        share = len(rows) / (self.rows.to(exact) + len(rows))
        shift = mean - self.mean.to(exact)
        within = (1 - share) * self.variance.to(exact) + share * variance
        variance = within + share * (1 - share) * shift.square()
        constant = variance <= (rounding * mean).square()  # what roundings leave of 0
        self.variance.copy_(variance.masked_fill(constant, 0))
        self.mean.add_((share * shift).to(self.mean))
        self.rows.add_(len(rows))


def _batches(inputs: object) -> Iterator[Tensor]:
    """The inputs among what is given."""
    several = not isinstance(inputs, Tensor) and isinstance(inputs, Iterable)
    for batch in cast("Iterable[object]", inputs) if several else [inputs]:
        args, _, _ = as_batch(batch)
        if not args or not isinstance(args[0], Tensor):
            raise UnsupportedError(
                "Standardize is fitted to a tensor, or to batches that begin with one; got "
                f"{type(batch).__name__}. torch.as_tensor makes a tensor of an array."
            )
        yield args[0]
