"""The paper's own figures, by the number of their table."""

import json
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).parent / "results" / "paper.json"


@cache
def table(number: str) -> dict[str, Any]:
    """A table such as "1", "A11", by method or task."""
    return json.loads(_FILE.read_text())[f"Table {number}"]
