"""A report as text: one screen that begins with what to do, or all of it."""

import io
import re
from collections.abc import Iterator, Sequence

from rich.console import Console, RenderableType
from rich.console import Group as Several
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from selfnorm.auditing._finding import Finding
from selfnorm.auditing._groups import Group, count, groups, shorten, verdict
from selfnorm.auditing._rules._drift import within_theorem_1
from selfnorm.auditing._steps import POINTING, Step, number_of, steps
from selfnorm.auditing._table import COLORS, WIDTH, chosen, table_of
from selfnorm.recording import Recording

_WHY = 2  # so many kinds of errors and warnings are told with their reasons
_LAYERS = {"fine": 24, "why": 9, "brief": 6}
_NAMES = 32  # columns of a line that are for names of modules
_SEVERITY = 8  # columns of the word
_EFFECTS = {"variance-drift", "gradient-drift", "dead-units", "saturation"}
_CULPRIT = re.compile(r"(?:as after|initialized by) (.+)$")


def brief(recording: Recording, findings: Sequence[Finding]) -> str:
    """One screen of 80 columns."""
    return _plain(render(recording, findings))


def full(recording: Recording, findings: Sequence[Finding]) -> str:
    """All of it: each finding with its reason, every module, every layer."""
    return _plain(_whole(recording, findings))


def render(recording: Recording, findings: Sequence[Finding]) -> Iterator[RenderableType]:
    """Verdict, what to do, what was seen, layers: one screen, whatever the network."""
    done = steps(findings)
    yield from _head(recording, findings, done)
    told = groups(findings)
    bad = [group for group in told if group.first.severity != "note"]
    reasons = len(bad) <= _WHY
    detail = "fine" if not bad else "why" if reasons else "brief"
    if told:
        yield Text()
        yield _told(told, done, reasons=reasons)
    yield Text()
    layers = recording.layers
    shown = chosen(layers, findings, _LAYERS[detail])
    yield table_of(shown, layers, findings)
    inside = "" if bad else within_theorem_1(recording)
    if inside:
        yield Text()
        yield Text(inside, style="dim")
    if len(shown) < len(layers) or bad:
        some = f"{len(shown)} of {len(layers)} layers. " if len(shown) < len(layers) else ""
        yield Text(f"{some}Everything: print(report.full()), or report.to_html().", "dim")


def _whole(recording: Recording, findings: Sequence[Finding]) -> Iterator[RenderableType]:
    yield from _head(recording, findings, steps(findings))
    for group in groups(findings):
        yield Text()
        yield from _block(group)
    yield Text()
    yield table_of(recording.layers, recording.layers, findings)
    if inside := within_theorem_1(recording):
        yield Text()
        yield Text(inside)


def _plain(parts: Iterator[RenderableType]) -> str:
    file = io.StringIO()
    console = Console(file=file, width=WIDTH, color_system=None, legacy_windows=False)
    console.print(Several(*parts))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()).strip("\n")


def _head(
    recording: Recording, findings: Sequence[Finding], done: Sequence[Step]
) -> Iterator[RenderableType]:
    """What was looked at, the verdict, and what to do."""
    rows, many = recording.rows, len(recording.layers)
    yield Text(
        f"Audit of {recording.model}: {many} layer{'s' if many != 1 else ''}, {rows:,} "
        f"row{'s' if rows != 1 else ''}",
        style="bold",
    )
    counts = count(findings)
    style = "bold red" if counts["error"] or counts["warning"] else ""
    yield Text(verdict(recording, findings), style=style)
    if not done:
        return
    yield Text()
    yield Text("Do this:", style="bold")
    listed = Table.grid(padding=(0, 1))
    listed.add_column(justify="right", no_wrap=True, min_width=3)
    listed.add_column(overflow="fold")
    for number, step in enumerate(done, 1):
        listed.add_row(f"{number}.", Text(step.text))
    yield listed


def _told(told: Sequence[Group], done: Sequence[Step], *, reasons: bool) -> Table:
    """A paragraph for each kind of finding: where, what was seen, and which step mends it."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for group, again in _joined(told):
        first, number = group.first, number_of(group, done)
        noted = first.severity == "note"
        said = Text.assemble((first.rule, "bold"), _named(group.modules))
        if number is not None and len(done) > 1:
            said.append(f" (step {number})", style="dim")
        said.append(f": {'likewise' if again else _seen(first, brief=not reasons)}")
        placed = "" if noted or reasons else _placed(first, done[number - 1] if number else None)
        if placed:
            said.append(f". {placed}")
        short = len(said) + len(first.fix) + _SEVERITY + 2 <= WIDTH
        if number is None and (short or not done or not (noted or first.fix.startswith(POINTING))):
            said.append(f". {first.fix}")
        if noted and done:  # which nothing has to be done about
            said.truncate(WIDTH - _SEVERITY, overflow="ellipsis")
        grid.add_row(Text(first.severity.upper(), style=COLORS[first.severity]), said)
        if reasons and not noted:
            grid.add_row("", Text(f"Expected: {first.expected}.", style="dim"))
            grid.add_row("", Text(first.why, style="dim"))
    return grid


def _joined(told: Sequence[Group]) -> list[tuple[Group, bool]]:
    """Each group, and whether who drew its weights was told before; those are told as one."""
    found: list[tuple[Group, bool]] = []
    known: dict[str, int | None] = {}
    for group in told:
        culprit = _CULPRIT.search(group.first.seen)
        name = culprit[1] if culprit else ""
        at = known.get(name)
        if at is not None:
            found[at] = Group((*found[at][0].findings, *group.findings)), True
            continue
        found.append((group, name in known))
        if name:
            known[name] = len(found) - 1 if name in known else None
    return found


def _seen(finding: Finding, *, brief: bool) -> str:
    """What was seen, without what its rule says already."""
    if brief and finding.rule == "variance-drift":
        return finding.seen.partition(": ")[2] or finding.seen
    return finding.seen


def _placed(finding: Finding, step: Step | None) -> str:
    """Where the cause of an effect was placed; in full where no finding of its own tells of it."""
    place = re.search(r"(?:Placed|Not placed)[:.].*", finding.why)
    if place is None:
        return ""
    said = re.sub(r" ?\([^()]*\)(?=\.)", "", place[0])
    told = step is not None and any(one.first.rule not in _EFFECTS for one in step.mended)
    return re.split(r"[.,] ", said)[0].rstrip(".") + "." if told else said


def _block(group: Group) -> Iterator[RenderableType]:
    """A kind of finding with all that is known of it."""
    first = group.first
    head = Text()
    head.append(first.severity.upper(), style=COLORS[first.severity])
    head.append(f" {first.rule}", style="bold")
    yield head
    body = Table.grid(padding=(0, 1))
    body.add_column(style="dim", no_wrap=True)
    body.add_column(overflow="fold")
    body.add_row("where", Text(", ".join(name or "model" for name in group.modules)))
    for name in ("seen", "expected", "why", "fix"):
        body.add_row(name, Text(getattr(first, name)))
    for other in group.findings[1:]:
        fix = "" if other.fix == first.fix else f" {other.fix}"
        body.add_row("also", Text(f"{other.module or 'model'}: {other.seen}.{fix}"))
    yield Padding(body, (0, 0, 0, 2))


def _named(modules: Sequence[str]) -> str:
    """` in a, b, c and 27 more`."""
    names = [shorten(name, 30) for name in modules if name]
    if not names:
        return ""
    shown, room = [], _NAMES
    for name in names:
        room -= len(name) + 2
        if room < 0 and shown:
            break
        shown.append(name)
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f" in {', '.join(shown)}{more}"
