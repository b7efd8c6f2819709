"""One pass over a table in parts that processes share: each reads its row groups."""

import numpy as np

from selfnorm.errors import TableError
from selfnorm.tabular._settings import OnError
from selfnorm.tabular.data._together import skipped
from selfnorm.tabular.stream._deal import Key, Unit, counts_of, deal, units_of
from selfnorm.tabular.stream._parts import Part
from selfnorm.tabular.stream._statistics import Pass, Statistics
from selfnorm.training import Processes


def shared_pass(
    going: Pass, on_error: OnError, processes: Processes
) -> tuple[Statistics, tuple[Part, ...], dict[Key, np.ndarray]]:
    """What all parts tell, which could be read, and how many rows to train with are where.

    What is counted is dealt to as many readers as there are slices of a mini-batch, and merged by
    a tree, so that it does not depend on how many processes share them.

    Raises:
        TableError: a part cannot be read and `on_error` is `stop`, or none can.
    """
    readers = processes.number_of_slices
    parts = going.reading.parts
    while parts:
        dealt, _ = deal(units_of(parts), counts_of(parts, readers), readers)
        failed: dict[int, str] = {}
        each = [_read(going, dealt[one], on_error, failed, readers) for one in processes.slices]
        bad = {place: text for one in processes.all_of(failed) for place, text in one.items()}
        if not bad:
            found, counts = processes.merged(_in_halves(each), _merged)
            return found, parts, counts
        for place in sorted(bad):
            skipped(TableError(bad[place]))
        parts = tuple(part for part in parts if part.place not in bad)
    raise TableError("A table needs a part that can be read; none can. Mend one.")


Found = tuple[Statistics, dict[Key, np.ndarray]]


def _read(
    going: Pass, units: list[Unit], on_error: OnError, failed: dict[int, str], readers: int
) -> Found:
    """What some row groups tell; those of a part that failed are passed over."""
    found, counts = going.empty(), dict[Key, np.ndarray]()
    for unit in units:
        if unit.part.place in failed:
            continue
        count = counts.setdefault(unit.key, np.zeros(readers, np.int64))
        try:
            for known in going.reading.of_unit(unit, found.columns):
                found.add(known, going.reading, going.test)
                learned = known.numbers[known.places < 1 - going.test]
                pieces = (learned % np.uint64(readers)).astype(np.int64)
                count += np.bincount(pieces, minlength=readers)
        except TableError as error:
            if on_error == "stop":
                raise TableError(str(error), options=("--on-error",)) from error
            failed[unit.part.place] = str(error)
    return found, counts


def _merged(one: Found, other: Found) -> Found:
    one[0].merge(other[0])
    for key, count in other[1].items():
        one[1][key] = one[1].get(key, 0) + count
    return one


def _in_halves(each: list[Found]) -> Found:
    """As processes merge theirs: halves by themselves."""
    if len(each) == 1:
        return each[0]
    half = len(each) // 2
    return _merged(_in_halves(each[:half]), _in_halves(each[half:]))
