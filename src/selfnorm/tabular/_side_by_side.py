"""Trainings that need nothing of each other, side by side by joblib's backend of the moment."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from joblib import Parallel, delayed, effective_n_jobs

from selfnorm.training._sections import Section
from selfnorm.training._snapshot import Snapshot

Given = TypeVar("Given")
Found = TypeVar("Found")


@dataclass(frozen=True)
class ResultStore(Generic[Found]):
    """Where a checkpoint keeps what is found, and how.

    Attributes:
        section: Where; None keeps nothing.
        name: What each is called in it, before its number.
        take: What is found as plain JSON.
        give: The inverse.
    """

    section: Section | None
    name: str
    take: Callable[[Found], Mapping[str, Any]]
    give: Callable[[Mapping[str, Any]], Found]

    def at(self, number: int) -> Section | None:
        """Where one is kept."""
        return None if self.section is None else self.section.section(f"{self.name}{number}")


def side_by_side(
    function: Callable[[Given, Section | None], Found],
    items: Sequence[Given],
    jobs: int | None,
    results: ResultStore[Found],
) -> Iterator[Found]:
    """What a function makes of items, in their order; each at once, where the backend can that.

    Args:
        function: Of an item, and of where a checkpoint keeps what it does, which is told where one
            works at a time. Must be found by its name in a fresh process, as items and results are
            sent.
        items: What it is called with.
        jobs: How many work at a time, -1 for as many as there are processors; None for what
            `joblib.parallel_config` says: one, where nobody has said anything.
        results: Where what is found is kept; what is there is not made again.
    """
    sections = [results.at(number) for number in range(1, len(items) + 1)]
    before = [_done(section) for section in sections]
    wanted = [at for at, one in enumerate(before) if one is None]
    if effective_n_jobs(cast("int", jobs)) == 1:  # it takes None, too
        made = (function(items[at], sections[at]) for at in wanted)
    else:
        try:
            parallel = Parallel(n_jobs=jobs, return_as="generator")
        except ValueError:  # a backend that hands over all at the end, as Dask's of joblib 1.3
            parallel = Parallel(n_jobs=jobs)
        calls = (delayed(function)(items[at], None) for at in wanted)
        made = iter(cast("Iterable[Found]", parallel(calls)))
    for section, record in zip(sections, before, strict=True):
        found = next(made) if record is None else results.give(record)
        if record is None and section is not None:
            section.finish(Snapshot({}, dict(results.take(found))))
        yield found


def _done(section: Section | None) -> Mapping[str, Any] | None:
    """What is kept of one that is done."""
    snapshot, done = (None, False) if section is None else section.found
    return snapshot.record if snapshot is not None and done else None
