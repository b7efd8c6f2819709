"""Cells of a new table that training had nothing like, counted; counts of blocks of rows add up."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Strange:
    """What is strange in some rows of a column.

    Attributes:
        rows: How many rows were looked at.
        cells: How many of them hold a value that training had nothing like.
        example: Such a value; None if there is none.
        words: How many hold a word for a missing value.
    """

    rows: int
    cells: int = 0
    example: str | None = None
    words: int = 0

    def __add__(self, other: "Strange") -> "Strange":
        return Strange(
            self.rows + other.rows,
            self.cells + other.cells,
            other.example if self.example is None else self.example,
            self.words + other.words,
        )
