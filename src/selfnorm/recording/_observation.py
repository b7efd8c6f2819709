"""What is seen of one layer in one step: few figures, so that a training can keep many."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import nan
from typing import TYPE_CHECKING

from selfnorm.errors import UnsupportedError

if TYPE_CHECKING:
    import pandas as pd

EVERY = 100
"""Every how many steps a training is observed, if nothing else is asked for."""


@dataclass(frozen=True)
class Observation:
    """A layer in one step.

    Attributes:
        step: Number of the step, from 0.
        layer: Name of the layer, as in `Layer.name`.
        kind: Its class or function.
        mean: Of its output, over batch and units.
        variance: Likewise.
        omega: Root mean square of the sums of its units' weights; nan without weights.
        tau: Mean sum of squares of its units' weights; nan without weights.
        gradient: Root mean square of the gradient by its output.
        gain: Factor on the squared norm of the gradient from its output to its input.
        gram_error: How far its weights are from orthogonal, as in `Weights.gram_error`; nan where
            that is more than .5, and for a layer behind which no other has weights.
    """

    step: int
    layer: str
    kind: str
    mean: float
    variance: float
    omega: float
    tau: float
    gradient: float
    gain: float
    gram_error: float = nan


def table_of(records: Sequence[Observation]) -> "pd.DataFrame":
    """All observations as a pandas table.

    Raises:
        UnsupportedError: pandas is not installed.
    """
    try:
        import pandas as pd  # noqa: PLC0415 - optional
    except ImportError:
        raise UnsupportedError(
            "history is a pandas table, and pandas is not installed. Install it, or use records."
        ) from None
    names = list(Observation.__dataclass_fields__)
    return pd.DataFrame([asdict(record) for record in records], columns=names)
