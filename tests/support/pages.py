"""The code blocks of the documentation, in the order in which a reader meets them.

`python` and `sh` blocks are to be run, `pycon` blocks as doctests (tests/theory); `text` and
`console` blocks show what was printed. Of `sh`
blocks only the lines that begin with `selfnorm` are run, up to a pipe or a redirection.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
KINDS = {"python", "pycon", "sh", "console", "text", "toml"}
_BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the line of the page where it begins."""

    kind: str
    code: str
    line: int


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page."""
    text = page.read_text()
    return [
        Block(found[1], found[2], text.count("\n", 0, found.start()) + 2)
        for found in _BLOCK.finditer(text)
    ]


def commands(block: Block) -> list[list[str]]:
    """The arguments of each `selfnorm` command in a `sh` block."""
    found = []
    for line in block.code.splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["selfnorm"]:
            ends = [at for at, word in enumerate(words) if word in {"|", ">"}]
            found.append(words[1 : min(ends, default=len(words))])
    return found
