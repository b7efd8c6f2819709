"""The kinds of columns, and what each is called in a model file."""

from selfnorm.tabular.encoding._category import CategoryColumn
from selfnorm.tabular.encoding._number import NumberColumn

Column = NumberColumn | CategoryColumn
KINDS: dict[str, type[Column]] = {"number": NumberColumn, "category": CategoryColumn}
