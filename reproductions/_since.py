"""What came since the paper, as parts of networks: activations, norms, weights and steps."""

import math
from collections.abc import Callable

import torch
from scipy.optimize import brentq
from torch import Tensor, nn

from reproductions._networks import Linear
from selfnorm import theory

_WANTED = 0.9  # TAT's correlation of two unrelated rows behind the last layer
_QUINTIC = (3.4445, -4.7750, 2.0315)  # Muon's polynomial, which takes singular values near 1


class StandardizedLinear(Linear):
    """Weights of mean 0 and variance 1/inputs in each row, always, times a gain that is learned.

    Source: Brock et al. 2021 (arXiv 2101.08692), scaled weight standardization.
    """

    def __init__(self, members: int, inputs: int, units: int, *, gain: float = 1.0) -> None:
        super().__init__(members, inputs, units, gain=gain)
        self.size = nn.Parameter(torch.ones(members, units))

    def matrix(self) -> Tensor:
        """The weights that follow."""
        centered = self.weight - self.weight.mean(2, keepdim=True)
        return centered * (self.size / centered.norm(dim=2).clamp(min=1e-6))[:, :, None]


class Pointwise(nn.Module):
    """`size * f(sharpness * x + moved) + shift` in place of a norm.

    Source: Zhu et al. 2025 (arXiv 2503.10622) for tanh, which is DyT; Chen et al. 2025 (arXiv
    2512.10938) for the error function, which is Derf.
    """

    def __init__(self, f: Callable[[Tensor], Tensor], members: int, width: int) -> None:
        super().__init__()
        self.f = f
        self.sharpness = nn.Parameter(torch.full((members, 1), 0.5))
        self.moved = nn.Parameter(torch.zeros(members, 1))
        self.size = nn.Parameter(torch.ones(members, width))
        self.shift = nn.Parameter(torch.zeros(members, width))

    def forward(self, x: Tensor) -> Tensor:
        """(members, rows, units), bounded."""
        inner = self.f(self.sharpness[:, None] * x + self.moved[:, None])
        return torch.addcmul(self.shift[:, None], inner, self.size[:, None])


class Affine(nn.Module):
    """`factor * f(x) + shift`."""

    def __init__(self, f: Callable[[Tensor], Tensor], factor: float, shift: float = 0.0) -> None:
        super().__init__()
        self.f, self.factor, self.shift = f, factor, shift

    def forward(self, x: Tensor) -> Tensor:
        """Of each number by itself."""
        return self.factor * self.f(x) + self.shift


def normalized(name: str, f: Callable[[Tensor], Tensor]) -> Affine:
    """An activation with mean 0 and variance 1 at a standard normal input."""
    found = theory.normalize_activation(name)
    return Affine(f, found.factor, found.shift)


def tailored(depth: int) -> Affine:
    """TAT's leaky ReLU: two unrelated rows have a correlation of .9 behind so many layers.

    With a slope a for negative numbers and a mean square of 1, a layer takes a correlation c to

        c + (1 - a)^2 / (pi (1 + a^2)) * (sqrt(1 - c^2) - c arccos(c))

    Source: Zhang et al. 2022 (arXiv 2203.08120), section 3.
    """

    def behind(slope: float) -> float:
        correlation = 0.0
        factor = (1 - slope) ** 2 / (math.pi * (1 + slope**2))
        for _ in range(depth):
            gap = math.sqrt(max(1 - correlation**2, 0.0)) - correlation * math.acos(correlation)
            correlation = min(correlation + factor * gap, 1.0)
        return correlation

    slope = brentq(lambda a: behind(a) - _WANTED, 0.0, 1.0) if behind(0.0) > _WANTED else 0.0
    return Affine(lambda x: nn.functional.leaky_relu(x, slope), math.sqrt(2 / (1 + slope**2)))


class Muon:
    """Turns gradients of matrices into orthogonal steps, before an optimizer takes them.

    The momentum of a gradient becomes the nearest orthogonal matrix, or nearly, by five iterations.

    Source: Jordan et al. 2024, *Muon: an optimizer for hidden layers in neural networks*.
    """

    def __init__(self, model: nn.Module, momentum: float = 0.95) -> None:
        self.matrices = [one for one in model.parameters() if one.ndim == 3]
        self.before = [torch.zeros_like(one) for one in self.matrices]
        self.momentum = momentum

    @torch.no_grad()
    def __call__(self) -> None:
        """Change the gradients in place."""
        for matrix, before in zip(self.matrices, self.before, strict=True):
            if matrix.grad is not None:
                before.mul_(self.momentum).add_(matrix.grad)
                ratio = max(1.0, matrix.shape[1] / matrix.shape[2]) ** 0.5
                matrix.grad.copy_(ratio * orthogonalized(matrix.grad + self.momentum * before))


def orthogonalized(matrices: Tensor) -> Tensor:
    """Each matrix with its singular values brought near to 1."""
    x = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    a, b, c = _QUINTIC
    for _ in range(5):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x
