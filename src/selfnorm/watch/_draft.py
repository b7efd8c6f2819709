"""A layer while it is being watched."""

from dataclasses import dataclass, field

from selfnorm.recording import Weights
from selfnorm.recording._sample import LaterSample, Sample
from selfnorm.theory._types import FloatArray
from selfnorm.watch._calls import Call
from selfnorm.watch._flow import Expression
from selfnorm.watch._moments import Accumulator


@dataclass
class Draft:
    """A layer while it is being watched."""

    index: int
    name: str
    module: str
    owner: str  # the module's class
    kind: str
    call: Call
    use: int
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: str
    dim: int
    sample: Sample | LaterSample
    weights: tuple[Weights, ...]
    bias: FloatArray
    learned: bool  # whether weights stand before it, or are its own
    moments: Accumulator = field(default_factory=Accumulator)
    overwritten_by: int | None = None
    terms: float = 0.0  # squares of what its units sum: a mean over them for each output, together
    expression: Expression | None = None
    stands_for: tuple[int, ...] = ()  # indices of layers that are one with it

    @property
    def by_hand(self) -> bool:
        """Whether it stands for a run of operations."""
        return bool(self.call.settings.get("by_hand"))
