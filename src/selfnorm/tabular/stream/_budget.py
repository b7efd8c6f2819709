"""What a fit of a table in parts may take in memory, and who of all takes how much."""

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from selfnorm.tabular._settings import Settings
from selfnorm.tabular.data._cells import is_text
from selfnorm.tabular.stream._learning import learning, predicting
from selfnorm.tabular.stream._parts import Part
from selfnorm.tabular.stream._size import in_words
from selfnorm.training import Options

POOL_SHARE = 8  # of what readers leave: two pools, and what one is made of
SAMPLE_SHARE = 12  # rows to judge by, those to measure with, as cells and encoded
_BLOCK_SHARE = 8
_READERS_SHARE, _MOST_READERS = 3, 8
_MOST_ROWS, _SLOW_ROWS, _FEWEST_ROWS = 8192, 1024, 256  # of a block; fewer cost more a row
FEWEST_BATCHES = 4  # in a pool
_FEWEST_JUDGES = 1024  # rows that choose the epoch: of fewer it is chosen by chance
_CELL, _FEATURE = 8, 4  # bytes
# Of a column: 4,096 numbers for each of some ten doublings, of a part and of those before it; and a
# dictionary of 16,384 texts (measured: 2 MB each, of 50 columns of text that hold numbers).
_SKETCH, _LEVELS = 5e5, 2.2e6
_ONCE = 10**7  # what a pass makes besides, of whatever table


class Budget(NamedTuple):
    """How the memory is dealt out.

    Attributes:
        memory: Bytes that all may take: what is allowed, or the least that it takes.
        least: That.
        networks: What of it networks take, with optimizer, mini-batch and checkpoint.
        rest: What networks, readers and what is counted of columns leave to rows.
        readers: How many row groups are read side by side.
        rows: Most rows of a block.
    """

    memory: float
    least: float
    networks: float
    rest: float
    readers: int
    rows: int

    @classmethod
    def of(
        cls,
        parts: Sequence[Part],
        settings: Settings,
        memory: float,
        features: int,
        sharing: int = 1,
    ) -> "Budget":
        """What is allowed, dealt out for a table.

        A pass has one reader and what is counted of columns; a training all readers, and networks;
        who measures has neither, but blocks that are predicted.

        Args:
            parts: The table's.
            settings: Its networks and mini-batches count.
            memory: Bytes that are allowed.
            features: About how many a column has.
            sharing: How many slices of a mini-batch have readers of their own.
        """
        columns, rows = len(parts[0].schema.names), sum(part.rows for part in parts)
        reader = max(part.held for part in parts)
        row = columns * (_CELL + _FEATURE * features)  # as read, and encoded
        size = Options(batch_size=settings.batch_size).batch_rows(rows)
        pool = min(rows, FEWEST_BATCHES * size)
        block = max(_FEWEST_ROWS, min(_SLOW_ROWS, rows // 32))
        others = row * max(3 * pool / (1 - 4 / SAMPLE_SHARE), _BLOCK_SHARE * block)
        judges = min(rows, _FEWEST_JUDGES) * _FEATURE * (columns * features + settings.members)
        others = max(others, SAMPLE_SHARE * judges)
        networks = learning(settings, rows, columns * features)
        counted = _ONCE + sum(map(counted_of, parts[0].schema.types))
        fixed = max(sharing * reader + networks, reader + counted)
        least = max(fixed + others, predicting(columns * features))
        whole = max(memory, least)
        most = int((whole - networks) / _READERS_SHARE / max(1, sharing * reader))
        readers = max(1, min(_MOST_READERS // sharing, most)) * sharing
        rest = whole - max(readers * reader + networks, reader + counted)
        block = int(rest / _BLOCK_SHARE / row)
        rows = min(_MOST_ROWS, max(_FEWEST_ROWS, block))
        return cls(whole, least, networks, rest, readers, rows)

    def told(self, allowed: float) -> str:
        """What is said where less is allowed than it takes; else nothing."""
        if self.least <= allowed:
            return ""
        found = (
            f" That takes {in_words(self.least)} at the least, which are taken instead of "
            f"{in_words(allowed)}"
        )
        if self.networks <= allowed:
            return f"{found}."
        return (
            f"{found}: the networks alone take {in_words(self.networks)} with their optimizer, a "
            "mini-batch and a checkpoint. Fewer or narrower ones, or a smaller batch size, take "
            "less."
        )


def counted_of(kind: pa.DataType) -> float:
    """About how many bytes a pass holds of what is counted of a column of a type."""
    worded = is_text(kind) or pa.types.is_dictionary(kind)
    return _SKETCH + (_LEVELS if worded else 0)
