"""A page, or a part of one for a notebook, around what a room has to show.

A room's template extends `page.html.jinja` and fills its blocks; `macros.html.jinja` has what pages
share. All that is put into a template is escaped unless it is `Markup`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        cells: Name of the column and content of each; the first row's names head the table.
        anchor: What links call it.
        mark: "error", "warning" or nothing.
    """

    cells: Sequence[tuple[str, str]]
    anchor: str = ""
    mark: str = ""


def render(room: str, template: str, *, whole: bool, **content: object) -> str:
    """What a room's template makes of its content.

    Args:
        room: Package that holds the template, such as "auditing".
        template: Name of its file.
        whole: Whether it is to be a page of its own, or a part of one.
        content: What the template asks for.
    """
    return _environment(room).get_template(template).render(whole=whole, **content)


@cache
def _environment(room: str) -> Environment:
    places = [PackageLoader(f"selfnorm.{name}", ".") for name in (room, "report")]
    return Environment(loader=ChoiceLoader(places), autoescape=True, undefined=StrictUndefined)
