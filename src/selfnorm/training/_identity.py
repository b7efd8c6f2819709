"""What has to be the same for something to go on from what was left, and what differs."""

from collections.abc import Mapping
from typing import Any

_MOST = 3  # differences that are told


def differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The first things that differ, in words; empty if nothing does.

    Args:
        was: Plain JSON, as it was read.
        now: Plain JSON.
    """
    before, after = _flat(was), _flat(now)
    differ = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    return "; ".join(
        f"{name} was {_short(before.get(name))} and is {_short(after.get(name))}"
        for name in differ[:_MOST]
    )


def _flat(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            found.update(_flat(value, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = list(value) if isinstance(value, tuple) else value
    return found


def _short(value: object) -> str:
    told = repr(value)
    return told if len(told) <= 60 else f"{told[:57]}..."
