"""Put what was measured into docs/paper.md, with its figures: `python -m reproductions.page`.

Each experiment has its place between two marks, `<!-- NAME -->` and `<!-- end -->`; one without
results stays as it is.
"""

import io
import re
from pathlib import Path

from benchmarks.table import markdown
from matplotlib.figure import Figure
from PIL import Image

from reproductions._all import EXPERIMENTS
from reproductions._experiment import RESULTS, ROOT, Experiment, Record, read
from selfnorm._files import write_file
from selfnorm.plots import darken
from selfnorm.plots._style import rendered

PAGE = ROOT / "docs" / "paper.md"
FIGURES = PAGE.parent / "figures"
_MARKS = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_COLORS = 64


def render(page: str, results: Path) -> str:
    """The page with the tables of every experiment that has results."""

    def replace(found: re.Match[str]) -> str:
        experiment = EXPERIMENTS.get(found[2])
        content = shown(experiment, results) if experiment else ""
        return f"{found[1]}\n{content}\n{found[3]}" if content else found[0]

    return _MARKS.sub(replace, page)


def shown(experiment: Experiment, results: Path) -> str:
    """Figures and tables of an experiment in Markdown, and where they were measured."""
    result = read(results / f"{experiment.name}.json")
    if not result["runs"]:
        return ""
    parts = [
        "\n".join(
            f"![{one.about}](figures/{one.name}{ending}.png#only-{form}){{ .wide }}"
            for ending, form in (("", "light"), ("-dark", "dark"))
        )
        for one in experiment.pictures(result["runs"])
    ]
    for table in experiment.tables(result["runs"]):
        rows = [list(row) for row in table.rows]
        parts += [f"{table.title}\n\n{markdown(list(table.head), rows)}"]
    machines = " Then: ".join(_told(facts) for facts in result["machines"])
    parts.append(f"{len(result['runs'])} jobs, {spent(result['runs'])}. {machines}")
    return "\n\n".join(parts)


def spent(records: list[Record]) -> str:
    """How long jobs took: processor time, or, of results without it, seconds of a busy machine."""
    if all("processor" in one for one in records):
        return f"{sum(one['processor'] for one in records) / 60:.1f} minutes of processor time"
    seconds = sum(one["seconds"] for one in records)
    return f"{seconds / 60:.0f} minutes of one process on machines that did other work too"


def _told(facts: dict[str, str]) -> str:
    """A machine, its versions and the commit in a sentence."""
    return (
        f"{facts['processor']}, {facts['cores']} cores, {facts['vectors']}; "
        f"torch {facts['torch']}, numpy {facts['numpy']}, python {facts['python']}; "
        f"commit {facts['commit']}, {facts['date']}."
    )


def draw(results: Path, folder: Path) -> None:
    """Every figure, for light and for dark pages."""
    for experiment in EXPERIMENTS.values():
        records = read(results / f"{experiment.name}.json")["runs"]
        for one in experiment.pictures(records) if records else ():
            write_file(folder / f"{one.name}.png", small(one.draw()))
            write_file(folder / f"{one.name}-dark.png", small(darken(one.draw())))


def small(drawn: Figure) -> bytes:
    """A PNG of few colors."""
    content = io.BytesIO()
    with Image.open(io.BytesIO(rendered(drawn, "png"))) as picture:
        picture.convert("RGB").quantize(_COLORS).save(content, format="png", optimize=True)
    return content.getvalue()


def update(page: Path = PAGE, figures: Path = FIGURES, results: Path = RESULTS) -> None:
    """Write page and figures."""
    draw(results, figures)
    write_file(page, render(page.read_text(), results).encode())


if __name__ == "__main__":
    update()
