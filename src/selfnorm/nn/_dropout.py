"""Alpha dropout as modules: of single units and of whole channels."""

# ruff: noqa: A002 - `input` is what torch calls it

import torch
from torch import Tensor
from torch.jit import is_scripting  # pyright: ignore[reportPrivateImportUsage]
from torch.nn import functional

from selfnorm import ops
from selfnorm.theory._dropout import check_probability


class AlphaDropout(torch.nn.AlphaDropout):
    """Dropout that keeps mean 0 and variance 1, also truly in place.

    It is a `torch.nn.AlphaDropout`, and what looks for one finds it. See
    `selfnorm.ops.alpha_dropout`.

    Args:
        p: Probability that a unit is dropped.
        inplace: Write the result into the input.
        generator: Where the seeds of the masks come from; torch's default generator if None, and in
            TorchScript.

    Raises:
        ArgumentError: If `p` is not in [0, 1].

    Example:
        >>> AlphaDropout(p=1)(torch.randn(3))
        tensor([0., 0., 0.])
    """

    __jit_ignored_attributes__ = ("generator",)  # TorchScript cannot save one

    def __init__(
        self, p: float = 0.5, inplace: bool = False, *, generator: torch.Generator | None = None
    ) -> None:
        check_probability(p)
        super().__init__(p, inplace)
        self.generator = generator

    def forward(self, input: Tensor) -> Tensor:
        """`input` with units dropped in training; in evaluation `input` itself."""
        if is_scripting():  # TorchScript compiles this branch alone
            return functional.alpha_dropout(input, float(self.p), self.training, self.inplace)
        return ops.alpha_dropout(
            input, self.p, self.training, self.inplace, generator=self.generator
        )


class FeatureAlphaDropout(torch.nn.FeatureAlphaDropout):
    """Alpha dropout of whole channels, with a batch or without.

    A shape alone does not say whether `(8, 16, 32, 32)` is a batch of images or one volume. Without
    `spatial_dims` the first dimension is the batch and the second the channels, always, as in
    `torch.nn.FeatureAlphaDropout`; with it, an input of one dimension less is a single sample.

    Args:
        p: Probability that a channel of a sample is dropped.
        inplace: Write the result into the input.
        spatial_dims: The number of dimensions after the channels: 2 for images.
        generator: Where the seeds of the masks come from; torch's default generator if None, and in
            TorchScript.

    Shape:
        `(N, C, ...)`; with `spatial_dims = k`, `(N, C, d1, ..., dk)` or `(C, d1, ..., dk)`.

    Raises:
        ArgumentError: If `p` is not in [0, 1] or, when called, the
            input has another number of dimensions than `spatial_dims` allows.

    Example:
        >>> image = torch.zeros(16, 8, 8)
        >>> dropped = FeatureAlphaDropout(spatial_dims=2)(image)
        >>> bool((dropped == dropped[:, :1, :1]).all())
        True
    """

    __jit_ignored_attributes__ = ("generator",)  # TorchScript cannot save one
    spatial_dims: int | None

    def __init__(
        self,
        p: float = 0.5,
        inplace: bool = False,
        *,
        spatial_dims: int | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        check_probability(p)
        super().__init__(p, inplace)
        self.spatial_dims = spatial_dims
        self.generator = generator

    def forward(self, input: Tensor) -> Tensor:
        """`input` with channels dropped in training; in evaluation `input` itself."""
        if is_scripting():
            p, training, inplace = float(self.p), self.training, self.inplace
            spatial_dims = self.spatial_dims
            if spatial_dims is not None and input.dim() == spatial_dims + 1:
                sample = input.unsqueeze(0)
                return functional.feature_alpha_dropout(sample, p, training, inplace).squeeze(0)
            return functional.feature_alpha_dropout(input, p, training, inplace)
        return ops.feature_alpha_dropout(
            input,
            self.p,
            self.training,
            self.inplace,
            spatial_dims=self.spatial_dims,
            generator=self.generator,
        )

    def extra_repr(self) -> str:
        """The arguments, as `print(module)` shows them."""
        return f"{super().extra_repr()}, spatial_dims={self.spatial_dims}"
