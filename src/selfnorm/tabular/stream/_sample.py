"""Some rows of a table of any length, the same whatever the order in which they come."""

import numpy as np
import pyarrow as pa


class Sample:
    """The rows with the least keys, at most so many, of at most so many bytes.

    Keys that are hashes of the rows' numbers make it a random sample, which merges with others and,
    as long as the bytes suffice, does not depend on the order of the rows.

    Args:
        rows: Most of them.
        size: Most bytes of their cells.

    Attributes:
        bound: Rows from this key on are not among them.
        keys: The keys of those that may be, in parts.
        numbers: Their numbers.
        tables: Their cells.
    """

    def __init__(self, rows: int, size: int) -> None:
        self._most, self._size, self._bytes = rows, size, 0
        self.bound = np.inf
        self.keys: list[np.ndarray] = []
        self.numbers: list[np.ndarray] = []
        self.tables: list[pa.Table] = []

    def add(self, keys: np.ndarray, numbers: np.ndarray, table: pa.Table) -> None:
        """Rows come, with keys in [0, 1) and their numbers."""
        few = np.flatnonzero(keys < self.bound)
        if not len(few):
            return
        self.keys.append(keys[few])
        self.numbers.append(numbers[few])
        self.tables.append(table.take(few))
        self._bytes += self.tables[-1].nbytes
        if sum(map(len, self.keys)) > 2 * self._most or self._bytes > self._size:
            self._cut()

    def merge(self, other: "Sample") -> None:
        """Those of another sample come."""
        self.bound = min(self.bound, other.bound)
        for keys, numbers, table in zip(other.keys, other.numbers, other.tables, strict=True):
            self.add(keys, numbers, table)

    def rows(self, most: int | None = None) -> tuple[np.ndarray, np.ndarray, pa.Table | None]:
        """Keys, numbers and cells, in the order of the numbers; None of no rows."""
        if not self.tables:
            return np.empty(0), np.empty(0, np.uint64), None
        self._cut(most)
        keys, numbers = np.concatenate(self.keys), np.concatenate(self.numbers)
        order = np.argsort(numbers)
        table = pa.concat_tables(self.tables, promote_options="permissive")
        return keys[order], numbers[order], table.take(order)

    def _cut(self, most: int | None = None) -> None:
        """Keep the rows with the least keys; half of them where they take too many bytes."""
        keys, numbers = np.concatenate(self.keys), np.concatenate(self.numbers)
        table = pa.concat_tables(self.tables, promote_options="permissive")
        inside = keys < self.bound
        most = self._most if most is None else min(most, self._most)
        kept = min(most, int(inside.sum()))
        if table.nbytes > self._size:
            kept = min(kept, len(keys) // 2)
        order = np.argsort(np.where(inside, keys, np.inf), kind="stable")
        if kept < len(order):
            self.bound = min(self.bound, keys[order[kept]])
        order = order[:kept]
        self.keys, self.numbers = [keys[order]], [numbers[order]]
        self.tables = [table.take(order)]
        self._bytes = self.tables[0].nbytes
