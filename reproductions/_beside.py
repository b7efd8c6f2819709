"""What `benchmarks.tabular` measured of other methods on the same tasks and splits."""

from collections.abc import Sequence

from benchmarks._harness import RESULTS
from benchmarks.tabular import runs

OURS = "selfnorm"
FOLDER = RESULTS / "tabular"


def scores(methods: Sequence[str], score: str) -> dict[str, dict[tuple[str, int], float]]:
    """Of each method that has results the score by task and split; what failed is left out."""
    found: dict[str, dict[tuple[str, int], float]] = {}
    for run, record in runs.read(FOLDER, methods).items():
        if record.get(score) is not None:
            found.setdefault(run.method, {})[run.task, run.split] = record[score]
    return found
