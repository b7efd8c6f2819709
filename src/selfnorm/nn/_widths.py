"""How wide the layers of a plain network are, and of which kind their weights."""

from typing import Literal, get_args

from selfnorm._parameters import Choice, Whole
from selfnorm.errors import ArgumentError

Shape = Literal["rectangular", "conic"]
SHAPE = Choice(get_args(Shape))
SIZE = Whole(1)
Weights = Literal["lecun", "orthogonal"]
WEIGHTS = Choice(get_args(Weights))


def hidden_widths(width: int, depth: int, shape: Shape, out_features: int) -> list[int]:
    """Units of every hidden layer of an `MLP`.

    Raises:
        ArgumentError: a size is no whole number of 1 or more, or the shape is unknown.

    Example:
        >>> hidden_widths(64, 3, "conic", out_features=1)
        [64, 16, 4]
    """
    check_sizes(width=width, depth=depth, out_features=out_features)
    if not SHAPE.holds(shape):
        raise ArgumentError(f"shape must be {SHAPE}; {shape!r} came. Choose one of them.")
    if shape == "rectangular":
        return [width] * depth
    ratio = out_features / width
    return [round(width * ratio ** (layer / depth)) for layer in range(depth)]


def check_sizes(**sizes: int) -> None:
    """Raise for the first that is no size.

    Raises:
        ArgumentError: with its name.
    """
    for name, size in sizes.items():
        if not SIZE.holds(size):
            raise ArgumentError(f"{name} must be {SIZE}; {size!r} came. Count units or layers.")
