"""The kinds of columns, and what each is called in a model file."""

from selfnorm.tabular.encoding._category import CategoryColumn
from selfnorm.tabular.encoding._number import NumberColumn
from selfnorm.tabular.encoding._presence import PresenceColumn

Column = NumberColumn | CategoryColumn | PresenceColumn
KINDS: dict[str, type[Column]] = {
    "number": NumberColumn,
    "category": CategoryColumn,
    "presence": PresenceColumn,
}
