"""Values that depend on the function's inputs, with where they come from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jax import Array

from selfnorm.theory._types import FloatArray


@dataclass(frozen=True)
class Site:
    """What is known of a layer where it stands.

    Attributes:
        role: As in `recording.Layer`.
        kind: What to call its class.
        name: Of the function or module.
        activation: As in `recording.Layer`.
        settings: Likewise.
        weight: Its weight, units first, then inputs, then the window; None without.
        weight_name: Whose that is; "" if nobody knows.
        groups: How many matrices lie below each other in the weight.
        steps: Of a transposed convolution: every how many taps reach one output.
        bias: What it adds to each unit.
        read: What a layer with weights reads.
        terms: Mean square of what its units sum.
    """

    role: str
    kind: str
    name: str = ""
    activation: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    weight: Array | None = None
    weight_name: str = ""
    groups: int = 1
    steps: tuple[int, ...] = ()
    bias: FloatArray | None = None
    read: "Node | None" = None
    terms: float = float("nan")


@dataclass(frozen=True, eq=False)
class Chain:
    """A function of each number by itself that is still growing, of a value that is settled."""

    base: "Node"
    function: Callable[[Array], Array]
    scope: str
    whole: bool = False  # one call, which is not continued


@dataclass(eq=False)
class Node:
    """A value that depends on the inputs.

    Attributes:
        value: The number itself.
        sources: Indices of the layers that it comes from; -1 is the function's input.
        dims: The axes that count units; None if nobody knows.
        chain: What it is a function of, number by number.
        site: A layer that is to be recorded once it is known whether a bias follows.
        statistic: Whether it is a sum or the like over some axes of its sources.
        normalized: Whether a value and a statistic of it went into it.
    """

    value: Any
    sources: tuple[int, ...]
    dims: tuple[int, ...] | None = None
    chain: Chain | None = None
    site: Site | None = None
    statistic: bool = False
    normalized: bool = False


def sources_of(*nodes: object) -> tuple[int, ...]:
    """Of several values, each source once."""
    return tuple(dict.fromkeys(s for n in nodes if isinstance(n, Node) for s in n.sources))
