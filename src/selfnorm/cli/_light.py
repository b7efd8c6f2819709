"""What a program that lasts less than a second does not import."""

import sys
from collections.abc import Sequence
from types import ModuleType


class _Missing:
    """Says of a package that it is not there."""

    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> None:
        """Raise for the package; let others look for anything else."""
        del path, target
        if name == self._package:
            raise ModuleNotFoundError(f"No module named {name!r}: it is not needed here", name=name)


def without_pandas() -> None:
    """From now on this process has no pandas, unless it has it already.

    pyarrow imports it, which takes half a second, at the first number or None that it is given, to
    ask whether that is one of pandas' own. It does well without, as where pandas is not installed.
    """
    if "pandas" not in sys.modules:
        sys.meta_path.insert(0, _Missing("pandas"))
