"""Options in a file: `fit` writes what it was asked for, and reads it again."""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from selfnorm import __version__
from selfnorm.errors import ArgumentError

_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Take options from a file as defaults, so that what is given beside it counts.

    Raises:
        ArgumentError: it is no such file, or holds something that is no option.
    """
    if path is None or context.resilient_parsing:
        return path
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ArgumentError(
            f"A config is a TOML file of options, as `fit` writes into a model's folder; '{path}' "
            f"cannot be read ({told}). Name another file."
        ) from error
    known = [parameter.name for parameter in context.command.params]
    strange = [name for name in found if name not in known or name == "config"]
    if strange:
        raise ArgumentError(
            f"A config holds options of `selfnorm fit`; '{path}' holds {strange[0]!r}. Take it "
            "out, or mend its name."
        )
    several = [one.name for one in context.command.params if getattr(one, "multiple", False)]
    found |= {n: [found[n]] for n in several if isinstance(found.get(n), str)}
    context.default_map = {**(context.default_map or {}), **found}
    return path


def configured_table(path: Path) -> list[str]:
    """The table of a file of options that was read before; none if it names none."""
    table = tomllib.loads(path.read_text(encoding="utf-8")).get("table", [])
    return [table] if isinstance(table, str) else table


def write_config(options: Mapping[str, Any]) -> str:
    """The options that are set, as TOML."""
    lines = [f"# Written by selfnorm {__version__}; `selfnorm fit --config FILE` repeats it."]
    for name, value in options.items():
        if value is not None and value is not False and value not in ([], ()):
            lines.append(f"{name} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def seconds(text: str | None) -> float | None:
    """A time such as `90`, `90s`, `10m` or `1.5h` in seconds.

    Raises:
        ArgumentError: it is none.
    """
    if text is None:
        return None
    found = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*([smh]?)\s*", text)
    if found is None:
        raise ArgumentError(
            f"time_limit must be seconds, or minutes or hours as 10m or 2h; {text!r} came. Try 10m."
        )
    return float(found[1]) * _SECONDS[found[2]]


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
