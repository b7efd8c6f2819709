"""Trainings that need nothing of each other, side by side by joblib's backend of the moment."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar, cast

from joblib import Parallel, delayed

Given = TypeVar("Given")
Found = TypeVar("Found")


def side_by_side(
    function: Callable[[Given], Found], items: Iterable[Given], jobs: int | None = None
) -> Iterator[Found]:
    """What a function makes of items, in their order; each at once, where the backend can that.

    Args:
        function: Must be found by its name in a fresh process, as items and results are sent.
        items: What it is called with.
        jobs: How many work at a time, -1 for as many as there are processors; None for what
            `joblib.parallel_config` says: one, where nobody has said anything.
    """
    try:
        parallel = Parallel(n_jobs=jobs, return_as="generator")
    except ValueError:  # a backend that hands over all at the end, as Dask's of joblib 1.3
        parallel = Parallel(n_jobs=jobs)
    return iter(cast("Iterable[Found]", parallel(delayed(function)(item) for item in items)))
