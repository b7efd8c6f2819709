"""A table in parts as mini-batches: read, encoded and mixed while a network learns."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from selfnorm.errors import TableError
from selfnorm.tabular.data._split import deal_by_hash
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.encoding._target import Target
from selfnorm.tabular.stream._budget import FEWEST_BATCHES, POOL_SHARE
from selfnorm.tabular.stream._deal import Unit
from selfnorm.tabular.stream._parts import MOST_ROWS
from selfnorm.tabular.stream._reading import Known, Place, Reading
from selfnorm.tabular.stream._target import TargetReader
from selfnorm.training import Options, Placed, Rows, Streamed
from selfnorm.training._dealt import Dealt

_LARGEST_POOL = 1 << 18  # rows, beyond which rows mix no better that matters


@dataclass(frozen=True)
class Stream:
    """Rows of a table that are read again in each epoch.

    Attributes:
        reading: How they are read.
        encoder: Who encodes them.
        target: What outputs stand for.
        reader: How the target's cells are read.
        total: How many rows have a target and a weight.
        rows: How many there are to train with.
        held_out: How many are held out to measure.
        dropped: How many are left out as their target is missing.
        weightless: How many as their weight is 0.
        test: The share of rows held out.
        judged: How many rows to judge by there are.
        bound: They are those whose hash is below it; a single network does not learn from them, of
            several those that leave a row out.
        share: Of all pairs of a row and one of several networks, those that are left out.
        weight: The mean of the weights of rows; None if all count the same.
        memory: Bytes that rows may take, besides what readers hold.
        told: Why it is read in parts.
        lanes: What each slice of a mini-batch is read from; none if rows are not shared.
        lane_rows: How many rows to train with these have.
    """

    reading: Reading
    encoder: Encoder
    target: Target
    reader: TargetReader
    total: int
    rows: int
    held_out: int
    dropped: int
    weightless: int
    test: float
    judged: int
    bound: float
    share: float
    weight: float | None
    memory: float
    told: str
    lanes: tuple[tuple[Unit, ...], ...] = ()
    lane_rows: tuple[int, ...] = ()

    def batches(
        self, options: Options, device: torch.device, mine: range | None = None
    ) -> Streamed | Dealt:
        """The rows to train with, in mini-batches on a device; for some members, or for all."""
        members = options.members if options.members > 1 else None
        size = options.batch_rows(self.rows)
        row = 4 * (len(self.encoder.features) + 2 + (members or 0))
        pool = min(_LARGEST_POOL, int(self.memory / POOL_SHARE / row))
        pool = max(pool, FEWEST_BATCHES * size)
        if self.lanes:
            reads = [partial(self._read_lane, at, members) for at in range(len(self.lanes))]
            return Dealt(reads, self.lane_rows, size, pool, members, device)
        read = partial(self._read, members)
        return Streamed(read, self.rows, size, pool, members, device, mine, self.share)

    def left_out(self, numbers: np.ndarray, members: int) -> np.ndarray:
        """Which members leave out each of the rows to judge by: (rows, members), booleans."""
        seed = self.reading.seed
        return deal_by_hash(numbers, members, rows=self.judged, seed=seed)

    def _read_lane(
        self, lane: int, members: int | None, seed: int, place: Place | None = None
    ) -> Iterator[Placed]:
        """The rows of an epoch that one slice of each mini-batch is made of."""
        return self._read(members, seed + lane, place, self.lanes[lane])

    def _read(
        self,
        members: int | None,
        seed: int,
        place: Place | None = None,
        units: tuple[Unit, ...] = (),
    ) -> Iterator[Placed]:
        """The rows of an epoch, encoded, a block at a time."""
        columns = [column.name for column in self.encoder.columns]
        sharing = max(1, len(self.lanes))
        for known, behind in self.reading.shuffled(seed, columns, units, sharing, place):
            wanted = known.places < 1 - self.test
            if members is None:
                wanted &= known.places >= self.bound
            if (rows := self._encoded(known.take(wanted), members)) is not None:
                yield Placed(rows, behind)

    def _encoded(self, known: Known, members: int | None) -> Rows | None:
        values = self.reader(known.target)
        right = self.reader.known(values)
        if not right.all():
            known, values = known.take(right), values[right]
        if not len(values):
            return None
        try:
            inputs = torch.from_numpy(self.encoder.transform(known.table))
        except TableError as error:
            first = int(known.numbers[0] % MOST_ROWS) + 1
            raise TableError(f"{error} (Row 1 is row {first:,} of '{known.path}'.)") from error
        targets = self.target.encode(self.reader.labels(values))
        weights = None
        if known.weights is not None and self.weight is not None:
            weights = known.weights / self.weight
        if members is not None and self.judged:
            learned = self._learned(known, members)
            if self.lanes:  # all rows of a slice are gone through: of mean 1 with the others
                learned /= 1 - self.share
            weights = learned if weights is None else learned * weights[:, None]
        if weights is None:
            return Rows(inputs, targets)
        return Rows(inputs, targets, torch.from_numpy(weights.astype(np.float32)))

    def _learned(self, known: Known, members: int) -> np.ndarray:
        """How much each row counts for each member: 0 where it leaves it out, else 1."""
        learned = np.ones((len(known.numbers), members))
        judges = known.places < self.bound
        learned[judges] = ~self.left_out(known.numbers[judges], members)
        return learned
