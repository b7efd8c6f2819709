"""A report as text and tables for a terminal 80 columns wide."""

import io
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
_LAYERS = 40
_COLORS = {"error": "bold red", "warning": "bold yellow", "note": "bold blue"}
_SIGNS = {"error": "!!", "warning": "!"}


def text(recording: Recording, findings: Sequence[Finding]) -> str:
    """As plain text, 80 columns wide."""
    file = io.StringIO()
    console = Console(file=file, width=_WIDTH, color_system=None, legacy_windows=False)
    console.print(Group(*render(recording, findings)))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()).strip("\n")


def render(recording: Recording, findings: Sequence[Finding]) -> Iterator[RenderableType]:
    """Verdict, findings, layers."""
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
    for group in groups(findings):
        yield Text()
        yield from _group(group)
    yield Text()
    yield _layers(recording, findings)
    if inside := within_theorem_1(recording):
        yield Text(inside, style="dim")
    if many > _LAYERS:
        yield Text(f"{_LAYERS} of {many} layers; to_frame() and to_html() have all.", style="dim")


def _group(group: Findings) -> Iterator[RenderableType]:
    first = group.first
    head = Text()
    head.append(first.severity.upper(), style=_COLORS[first.severity])
    head.append(f" {first.rule}", style="bold")
    yield head.append(_named(group.modules))
    body = Table.grid(padding=(0, 1))
    body.add_column(style="dim", no_wrap=True)
    body.add_column(overflow="fold")
    body.add_row("seen", Text(first.seen))
    if first.severity != "note":
        body.add_row("expected", Text(first.expected))
        body.add_row("why", Text(first.why))
    body.add_row("fix", Text(first.fix))
    yield Padding(body, (0, 0, 0, 2))


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


def _layers(recording: Recording, findings: Sequence[Finding]) -> Table:
    table = Table(
        title="mean and variance of what each layer puts out",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for name, width in (("layer", 18), ("kind", 12)):
        table.add_column(name, no_wrap=True, min_width=5, max_width=width)
    for name in ("mean", "variance", "theory", "gradient", "tau", "gain"):
        table.add_column(name, justify="right", no_wrap=True, min_width=len(name))
    table.add_column("", no_wrap=True, min_width=2)
    marked = marks(recording.layers, findings)
    for layer in _shown(recording.layers):
        severity = marked.get(layer.index)
        table.add_row(
            Text(shorten(layer.name or "model", 18)),
            Text(shorten(layer.kind, 12)),
            signed(layer.mean),
            short(layer.variance),
            short(float(layer.predicted.variance)) if layer.predicted is not None else "-",
            short(layer.gradient),
            short(layer.tau),
            short(layer.data_gain),
            Text(_SIGNS.get(severity or "", ""), style=_COLORS.get(severity or "", "")),
        )
    return table


def _shown(layers: Sequence[Layer]) -> list[Layer]:
    """All, or evenly spread ones with the first and the last."""
    if len(layers) <= _LAYERS:
        return list(layers)
    step = (len(layers) - 1) / (_LAYERS - 1)
    return [layers[round(k * step)] for k in range(_LAYERS)]
