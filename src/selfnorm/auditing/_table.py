"""A report as text and tables for a terminal 80 columns wide."""

import io
import re
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from selfnorm.auditing._finding import Finding
from selfnorm.auditing._groups import Group as Findings
from selfnorm.auditing._groups import actions, count, groups, marks, shorten, verdict
from selfnorm.auditing._rules._drift import within_theorem_1
from selfnorm.recording import Layer, Recording
from selfnorm.report._numbers import short, signed

_WIDTH = 80
_BRIEF = 3  # so many kinds of errors and warnings are told in short
_LAYERS = {"fine": 24, "full": 12, "brief": 6}
_COLORS = {"error": "bold red", "warning": "bold yellow", "note": "bold blue"}
_SIGNS = {"error": "!!", "warning": "!"}
_NUMBERS = ("mean", "variance", "theory", "gradient", "tau", "gain")
_NAME, _KIND = 24, 11  # at most
_FRAME = 15  # gaps, edges and signs
_PLACING = ("Placed", "Not placed")


def text(recording: Recording, findings: Sequence[Finding]) -> str:
    """As plain text, 80 columns wide."""
    file = io.StringIO()
    console = Console(file=file, width=_WIDTH, color_system=None, legacy_windows=False)
    console.print(Group(*render(recording, findings)))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()).strip("\n")


def render(recording: Recording, findings: Sequence[Finding]) -> Iterator[RenderableType]:
    """Verdict, what to do, findings, layers: one screen, whatever the network."""
    rows = f"{recording.rows:,} row{'s' if recording.rows != 1 else ''}"
    many = len(recording.layers)
    layers = f"{many} layer{'s' if many != 1 else ''}"
    yield Text(f"Audit of {recording.model}: {layers}, {rows}", style="bold")
    counts = count(findings)
    style = "bold red" if counts["error"] or counts["warning"] else ""
    yield Text(verdict(recording, findings), style=style)
    if todo := actions(findings):
        yield Text()
        yield Text("Do this:", style="bold")
        steps = Table.grid(padding=(0, 1))
        steps.add_column(justify="right", no_wrap=True, min_width=3)
        steps.add_column(overflow="fold")
        for number, step in enumerate(todo, 1):
            steps.add_row(f"{number}.", Text(step))
        yield steps
    bad = [group for group in groups(findings) if group.first.severity != "note"]
    detail = "fine" if not bad else "full" if len(bad) < _BRIEF else "brief"
    for number, group in enumerate(bad):
        if detail == "full" or not number:
            yield Text()
        yield from _group(group, todo if detail == "brief" else ())
    notes = [group for group in groups(findings) if group.first.severity == "note"]
    if notes:
        yield Text()
        yield from map(_note, notes)
    yield Text()
    shown = _shown(recording.layers, findings, _LAYERS[detail])
    yield _layers(shown, recording, findings)
    if inside := within_theorem_1(recording):
        yield Text(inside, style="dim")
    if many > len(shown):
        yield Text(
            f"{len(shown)} of {many} layers; to_frame() and to_html() have all.", style="dim"
        )


def _group(group: Findings, steps: Sequence[str]) -> Iterator[RenderableType]:
    """One for all of its rule; in short where steps are given, of which one may be its fix."""
    first = group.first
    head = Text()
    head.append(first.severity.upper(), style=_COLORS[first.severity])
    head.append(f" {first.rule}", style="bold")
    yield head.append(_named(group.modules))
    body = Table.grid(padding=(0, 1))
    body.add_column(style="dim", no_wrap=True)
    body.add_column(overflow="fold")
    body.add_row("seen", Text(first.seen))
    if not steps:
        body.add_row("expected", Text(first.expected))
        body.add_row("why", Text(first.why))
        body.add_row("fix", Text(first.fix))
    elif first.why.startswith(_PLACING):
        body.add_row("why", Text(_first_sentences(first.why)))
    if steps and first.fix not in steps:
        body.add_row("fix", Text(first.fix))
    yield Padding(body, (0, 0, 0, 2))


def _note(group: Findings) -> RenderableType:
    first = group.first
    line = Text()
    line.append(first.severity.upper(), style=_COLORS[first.severity])
    line.append(f" {first.rule}", style="bold")
    return line.append(f"{_named(group.modules)}: {first.seen}. {first.fix}")


def _first_sentences(why: str) -> str:
    """Where a cause was placed, without the source of that."""
    return re.sub(r" ?\([^()]*(?:\d{4}|19|20)[^()]*\)", "", why)


def _named(modules: Sequence[str]) -> str:
    """` in a, b, c and 27 more`."""
    names = [shorten(name, 30) for name in modules if name]
    if not names:
        return ""
    shown, room = [], 44
    for name in names:
        room -= len(name) + 2
        if room < 0 and shown:
            break
        shown.append(name)
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f" in {', '.join(shown)}{more}"


def _layers(shown: Sequence[Layer], recording: Recording, findings: Sequence[Finding]) -> Table:
    table = Table(
        title="mean and variance of what each layer puts out",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    marked = marks(recording.layers, findings)
    numbers = [_numbers(layer) for layer in shown]
    widths = [max(map(len, column)) for column in zip(_NUMBERS, *numbers, strict=True)]
    kinds = min(max((len(layer.kind) for layer in shown), default=4), _KIND)
    room = min(_WIDTH - _FRAME - sum(widths) - max(kinds, 4), _NAME)
    for name in ("layer", "kind"):
        table.add_column(name, no_wrap=True)
    for name, width in zip(_NUMBERS, widths, strict=True):
        table.add_column(name, justify="right", no_wrap=True, min_width=width)
    table.add_column("", no_wrap=True, min_width=2)
    for layer, cells in zip(shown, numbers, strict=True):
        severity = marked.get(layer.index)
        table.add_row(
            Text(shorten(layer.name or "model", room)),
            Text(shorten(layer.kind, kinds)),
            *cells,
            Text(_SIGNS.get(severity or "", ""), style=_COLORS.get(severity or "", "")),
        )
    return table


def _numbers(layer: Layer) -> list[str]:
    theory = short(float(layer.predicted.variance)) if layer.predicted is not None else "-"
    return [
        signed(layer.mean), short(layer.variance), theory, short(layer.gradient), short(layer.tau),
        short(layer.data_gain),
    ]  # fmt: skip


def _shown(layers: Sequence[Layer], findings: Sequence[Finding], most: int) -> list[Layer]:
    """All, or the first and the last and, evenly spread, those that findings are about."""
    if len(layers) <= most:
        return list(layers)
    marked = marks(layers, findings)
    between = [layer for layer in layers[1:-1] if layer.index in marked] or list(layers[1:-1])
    step = max((len(between) - 1) / max(most - 3, 1), 1.0)
    places = dict.fromkeys(min(round(k * step), len(between) - 1) for k in range(most - 2))
    return [layers[0], *(between[place] for place in places), layers[-1]]
