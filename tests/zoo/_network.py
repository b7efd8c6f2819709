"""A network of the zoo: a name, the package that it is from, and how it is made."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Made = tuple[nn.Module, Any]
"""A model, and its inputs as `selfnorm.audit` takes them: a tensor, a tuple, or a dict."""


@dataclass(frozen=True)
class Network:
    """One network.

    Attributes:
        package: As PyPI calls it.
        name: What it is called there.
        make: Builds it, with weights drawn at random, and inputs for it.
    """

    package: str
    name: str
    make: Callable[[], Made]

    def __str__(self) -> str:
        return f"{self.package}: {self.name}"


class Shelf:
    """Networks in a row; a function is put there by `@shelf("package")`."""

    def __init__(self) -> None:
        self.networks: list[Network] = []

    def __call__(self, package: str) -> Callable[[Callable[[], Made]], Callable[[], Made]]:
        def put(make: Callable[[], Made]) -> Callable[[], Made]:
            self.add(package, make.__name__, make)
            return make

        return put

    def add(self, package: str, name: str, make: Callable[[], Made]) -> None:
        """Put one there."""
        self.networks.append(Network(package, name, make))


def images(rows: int = 4, size: int = 64, channels: int = 3) -> Tensor:
    return torch.randn(rows, channels, size, size)


def rows(count: int = 64, features: int = 8) -> Tensor:
    return torch.randn(count, features)


def tokens(rows: int = 6, length: int = 12, words: int = 100) -> Tensor:
    return torch.randint(5, words - 5, (rows, length))
