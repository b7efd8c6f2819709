"""A mistake in what was typed as one line: what a command takes, what came, and what to do."""

import re
from collections.abc import Sequence
from typing import Any

import typer

# Typer has click's errors within it from 0.2x on, and beside it before; BadParameter is at home
# in both.
_, _, _Told, *_ = typer.BadParameter.__mro__
TypedError: type[Exception] = _Told
"""What is raised for a mistake in what was typed."""

_CHOICES = re.compile(r"'(?P<came>.*)' is not one of (?P<names>.*?)\.?$", re.DOTALL)
_KINDS = {"integer": "a whole number", "float": "a number", "number": "a number"}
_OTHERS = re.compile(r"extra arguments?(?:\(s\))? \((?P<which>.*)\)", re.DOTALL)


def is_help(error: Any) -> bool:
    """Whether nothing was typed behind a command, so that its help is shown."""
    return type(error).__name__ == "NoArgsIsHelpError"


def usage_line(error: Any, arguments: Sequence[str], commands: Sequence[str]) -> str:
    """What is wrong with what was typed.

    Args:
        error: What the parser raised.
        arguments: What was typed.
        commands: The names of the commands.
    """
    name = next((one for one in arguments if one in commands), "")
    command = f"selfnorm {name}".rstrip()
    told = _rule(error, command, arguments) or error.format_message()
    told = " ".join(told.replace("Value error, ", "").split())
    more = "lists its options" if name else "lists the commands"
    return f"{told}{'' if told[-1:] in '.?' else '.'} {command} -h {more}."


def _rule(error: Any, command: str, arguments: Sequence[str]) -> str | None:
    """The line of the kinds of mistakes that are known; None of any other."""
    option = getattr(error, "option_name", None)
    if option is not None and hasattr(error, "possibilities"):
        near = " or ".join(sorted(error.possibilities or ()))
        return f"{command} has no option {option}" + (f". Did you mean {near}?" if near else "")
    message = str(getattr(error, "message", ""))
    if option is not None and "requires an argument" in message:
        return f"{option} needs a value behind it; none came"
    if (found := _OTHERS.search(message)) is not None:
        return f"{command} takes {_takes(error) or 'options alone'}; {found['which']} came besides"
    parameter = getattr(error, "param", None)
    if parameter is None:
        return None
    if type(error).__name__ == "MissingParameter":
        called = parameter.metavar or parameter.name.upper()
        return f"{command} needs {_takes(error) or called}; {called} did not come"
    return _of_value(parameter, message, arguments)


def _of_value(parameter: Any, message: str, arguments: Sequence[str]) -> str | None:
    """What a value has to be, and what came."""
    called = max(parameter.opts, key=len)
    if (found := _CHOICES.search(message)) is not None:
        return f"{called} is one of {found['names'].replace(chr(39), '')}; '{found['came']}' came"
    kind = next((text for word, text in _KINDS.items() if f"valid {word}" in message), None)
    came = _given(parameter.opts, arguments)
    if kind is None or came is None:
        return None
    return f"{called} is {kind}; '{came}' came"


def _given(options: Sequence[str], arguments: Sequence[str]) -> str | None:
    """The value that was typed behind an option."""
    for at, one in enumerate(arguments):
        name, equals, value = one.partition("=")
        if name in options:
            return value if equals else next(iter(arguments[at + 1 :]), None)
    return None


def _takes(error: Any) -> str:
    """The arguments of the command, as its help has them."""
    context = getattr(error, "ctx", None)
    parameters = [] if context is None else context.command.params
    named = (
        one.metavar or one.name.upper() for one in parameters if one.param_type_name == "argument"
    )
    return " ".join(named)
