"""Options of the command line that are settings: their sentence, and a short word for the value.

A terminal has 80 columns, of which a value such as `classification|regression` takes what the
sentence needs; so the sentence begins with what may be chosen.
"""

from typing import Any

import typer

from selfnorm._parameters import Choice, OrNone, Rule, Whole, rule_of, text_of
from selfnorm._parameters import Number as Share
from selfnorm.tabular._settings import Settings

_WORDS: tuple[tuple[type[Any], str], ...] = ((Whole, "N"), (Share, "X"), (Choice, "KIND"))


def option(name: str, *flags: str, **more: Any) -> Any:
    """The option of one of the settings, with the sentence that it was declared with.

    Args:
        name: The setting.
        flags: What is typed; the setting's name if none.
        more: What `typer.Option` takes besides.
    """
    rule: Rule = rule_of(Settings, name)
    rule = rule.rule if isinstance(rule, OrNone) else rule
    told = text_of(Settings, name)
    if isinstance(rule, Choice):
        *first, last = rule.names
        told = f"{', '.join(first)} or {last}. {told}"
    word = next((word for kind, word in _WORDS if isinstance(rule, kind)), None)
    if word is not None:
        more.setdefault("metavar", word)
    return typer.Option(*flags, help=told, **more)
