"""The kinds of columns, and what each is called in a model file."""

from selfnorm.tabular.encoding._category import CategoryColumn
from selfnorm.tabular.encoding._number import NumberColumn
from selfnorm.tabular.encoding._presence import PresenceColumn
from selfnorm.tabular.encoding._sparse import SparseColumn

Single = NumberColumn | CategoryColumn | PresenceColumn
"""A column of a table that is one; a sparse table's are encoded together."""
Column = Single | SparseColumn
KINDS: dict[str, type[Column]] = {
    "number": NumberColumn,
    "category": CategoryColumn,
    "presence": PresenceColumn,
    "sparse": SparseColumn,
}
