"""What a conversion did, and what it left."""

import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import ConsoleOptions, RenderResult

Kind = Literal["replaced", "fused", "folded", "removed", "scaled", "initialized", "left", "note"]
_WIDTH = 80
_COLORS = {"left": "bold yellow", "note": "bold blue"}


@dataclass(frozen=True)
class Change:
    """One thing that was changed, or deliberately left.

    Attributes:
        module: Qualified name of the module; "" for the model.
        kind: What was done: "left" where nothing was, "note" for what the caller has to do.
        before: What stood there.
        after: What stands there now; "" if nothing does.
        why: Why so.
    """

    module: str
    kind: Kind
    before: str
    after: str
    why: str


@dataclass(frozen=True)
class Changes:
    """All of them; `print` shows them like a diff.

    Attributes:
        changes: In the order in which they were made.
        removed: Names of the state dict that are gone: those of folded and removed norms. All
            others are as before.
        added: Names that are new: a bias that a folded norm needed.
    """

    changes: tuple[Change, ...]
    removed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Change]:
        return iter(self.changes)

    def __len__(self) -> int:
        return len(self.changes)

    @property
    def left(self) -> tuple[Change, ...]:
        """What a self-normalizing network should not have and still has."""
        return tuple(change for change in self.changes if change.kind == "left")

    def counts(self) -> dict[str, int]:
        """How many there are of each kind."""
        return dict(Counter(change.kind for change in self.changes))

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values, ready for `json.dumps`."""
        return {
            "changes": [asdict(change) for change in self.changes],
            "removed": list(self.removed),
            "added": list(self.added),
        }

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        said = ", ".join(f"{count} {kind}" for kind, count in self.counts().items())
        yield Text(f"Conversion: {said or 'nothing to change'}", style="bold")
        if not self.changes:
            return
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        table.add_column("module", overflow="fold", max_width=22)
        table.add_column("change", overflow="fold")
        for change in self.changes:
            table.add_row(Text(change.module or "model"), _diff(change))
        yield table

    def __str__(self) -> str:
        file = io.StringIO()
        console = Console(file=file, width=_WIDTH, color_system=None, legacy_windows=False)
        console.print(self)
        return "\n".join(line.rstrip() for line in file.getvalue().splitlines()).strip("\n")

    def __repr__(self) -> str:
        return f"Changes({', '.join(f'{n} {kind}' for kind, n in self.counts().items())})"


def _diff(change: Change) -> Text:
    if change.kind in {"left", "note"}:
        sign, style = ("= ", _COLORS[change.kind])
        text = Text(f"{sign}{change.before}", style=style)
    else:
        text = Text(f"- {change.before}", style="red")
        text.append(f"\n+ {change.after}" if change.after else "", style="green")
    return text.append(f"\n  {change.kind}: {change.why}", style="dim")
