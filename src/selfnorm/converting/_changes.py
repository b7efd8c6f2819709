"""What a conversion did, and what it left."""

import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from selfnorm.recording import Recording
from selfnorm.theory import THEOREM_1

if TYPE_CHECKING:
    from rich.console import ConsoleOptions, RenderResult

Kind = Literal["replaced", "fused", "folded", "removed", "scaled", "initialized", "left", "note"]
_WIDTH = 80
_NAMED = 3  # names of a group that are shown
_PARTICULAR = re.compile(r"\w*\d\w*(\.\w+)*|\w+(\.\w+)+")  # names of modules, and numbers
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
class Checked:
    """What a converted model's SELUs did on the example, in training mode.

    Attributes:
        selus: How many there are.
        outside: Names and variances of those whose variance is not within theorem 1's range.
    """

    selus: int
    outside: tuple[tuple[str, float], ...] = ()

    def __str__(self) -> str:
        inside = self.selus - len(self.outside)
        shown = ", ".join(f"{name} ({value:.3g})" for name, value in self.outside[:_NAMED])
        more = len(self.outside) - _NAMED
        rest = f"; not: {shown}" + (f" and {more} more" if more > 0 else "") if shown else ""
        return (
            f"Checked on your example: {inside} of {self.selus} SELU layers have a variance within "
            f"{THEOREM_1.interval('variance')}{rest}."
        )


def checked(seen: Recording) -> Checked:
    """What the SELUs of a model that was run do."""
    outside = [
        (layer.name, layer.variance)
        for layer in seen.selus
        if not THEOREM_1.holds("variance", layer.variance)
    ]
    return Checked(len(seen.selus), tuple(outside))


@dataclass(frozen=True)
class Changes:
    """All of them; `print` shows them like a diff, those of a kind together.

    Attributes:
        changes: In the order in which they were made.
        removed: Names of the state dict that are gone: those of folded and removed norms. All
            others are as before.
        added: Names that are new: a bias that a folded norm needed.
        checked: What the result's SELUs do on the example; None without one.
    """

    changes: tuple[Change, ...]
    removed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    checked: Checked | None = None

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
            **({} if self.checked is None else {"checked": asdict(self.checked)}),
        }

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        said = ", ".join(f"{count} {kind}" for kind, count in self.counts().items())
        yield Text(f"Conversion: {said or 'nothing to change'}", style="bold")
        if not self.changes:
            return
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        table.add_column("module", overflow="fold", max_width=22)
        table.add_column("change", overflow="fold")
        for group in _groups(self.changes):
            names = [change.module or "model" for change in group]
            more = len(names) - _NAMED
            shown = "\n".join(names[:_NAMED]) + (f"\nand {more:,} more" if more > 0 else "")
            table.add_row(Text(shown), _diff(group[0], alike=_whys(group) == 1))
        yield table
        if self.checked is not None:
            yield Text(str(self.checked), style="bold" if self.checked.outside else "")

    def __str__(self) -> str:
        file = io.StringIO()
        console = Console(file=file, width=_WIDTH, color_system=None, legacy_windows=False)
        console.print(self)
        return "\n".join(line.rstrip() for line in file.getvalue().splitlines()).strip("\n")

    def __repr__(self) -> str:
        return f"Changes({', '.join(f'{n} {kind}' for kind, n in self.counts().items())})"


def _groups(changes: tuple[Change, ...]) -> list[list[Change]]:
    """Changes of a kind together, where names and numbers alone differ."""
    found: dict[tuple[str, ...], list[Change]] = {}
    for change in changes:
        told = (change.before, change.after, change.why)
        key = (change.kind, *(_PARTICULAR.sub("*", text) for text in told))
        found.setdefault(key, []).append(change)
    return list(found.values())


def _whys(group: list[Change]) -> int:
    return len({change.why for change in group})


def _diff(change: Change, *, alike: bool) -> Text:
    if change.kind in {"left", "note"}:
        sign, style = ("= ", _COLORS[change.kind])
        text = Text(f"{sign}{change.before}", style=style)
    else:
        text = Text(f"- {change.before}", style="red")
        text.append(f"\n+ {change.after}" if change.after else "", style="green")
    others = "" if alike else "; the others likewise"
    return text.append(f"\n  {change.kind}: {change.why}{others}", style="dim")
