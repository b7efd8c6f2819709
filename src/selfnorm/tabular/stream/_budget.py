"""What rows of a table in parts may take in memory, and who of its readers takes how much."""

from collections.abc import Sequence
from typing import NamedTuple

from selfnorm.tabular._settings import Settings
from selfnorm.tabular.stream._parts import Part
from selfnorm.tabular.stream._size import in_words
from selfnorm.training import Options

POOL_SHARE = 8  # of what readers leave: two pools, and what one is made of
SAMPLE_SHARE = 12  # rows to judge by, those to measure with, as cells and encoded
_BLOCK_SHARE = 16
_READERS_SHARE, _MOST_READERS = 3, 8
_MOST_ROWS, _SLOW_ROWS, _FEWEST_ROWS = 8192, 1024, 256  # of a block; fewer cost more a row
FEWEST_BATCHES = 4  # in a pool
_CELL, _FEATURE = 8, 4  # bytes


class Budget(NamedTuple):
    """How the memory is dealt out.

    Attributes:
        memory: Bytes that all may take: what is allowed, or the least that it takes.
        least: That.
        rest: What of it readers leave to rows.
        readers: How many row groups are read side by side.
        rows: Most rows of a block.
    """

    memory: float
    least: float
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

        Args:
            parts: The table's.
            settings: Its mini-batches count.
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
        least = sharing * reader + others
        whole = max(memory, least)
        most = int(whole / _READERS_SHARE / max(1, sharing * reader))
        readers = max(1, min(_MOST_READERS // sharing, most)) * sharing
        rest = whole - readers * reader
        block = int(rest / _BLOCK_SHARE / row)
        return cls(whole, least, rest, readers, min(_MOST_ROWS, max(_FEWEST_ROWS, block)))

    def told(self, allowed: float) -> str:
        """What is said where less is allowed than it takes; else nothing."""
        if self.least <= allowed:
            return ""
        return (
            f" That takes {in_words(self.least)} at the least, which are taken instead of "
            f"{in_words(allowed)}."
        )
