"""Put the figures of `results/*.json` into docs/benchmarks.md, each file between its own marks."""

import json
import re
from pathlib import Path
from typing import Any

from benchmarks._harness import RESULTS

PAGE = RESULTS.parent.parent / "docs" / "benchmarks.md"
PAGES = (PAGE, *(PAGE.with_name(name) for name in ("wild.md", "examples.md", "estimators.md")))
_MARKS = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def render(page: str, results: Path = RESULTS) -> str:
    """The page with every table anew; where there are no results, it stays as it is."""

    def replace(found: re.Match[str]) -> str:
        path = results / f"{found[2]}.json"
        result = json.loads(path.read_text()) if path.exists() else {"rows": []}
        there = result.get("rows") or result.get("tables")
        return f"{found[1]}{tables(result)}{found[3]}" if there else found[0]

    return _MARKS.sub(replace, page)


def tables(result: dict[str, Any]) -> str:
    """A table of the rows, or those that a result brings along, and where they were measured."""
    if "tables" in result:
        parts = [(one["title"], one["head"], one["rows"]) for one in result["tables"]]
        text = "\n\n".join(f"{title}\n\n{markdown(head, rows)}" for title, head, rows in parts)
        text = f"{result.get('figure', '')}{text}"
    else:
        text = markdown(*compared(result["rows"]))
    facts = result["machine"]
    names = ("torch", "numba", "triton", "jax", "numpy", "python")
    versions = ", ".join(f"{name} {facts[name]}" for name in names if name in facts)
    versions = f"{versions}, {facts['rivals']}" if "rivals" in facts else versions
    where = f"{facts['processor']}, {facts['cores']} cores, {facts['vectors']}"
    where = f"{facts['GPU']}; {where}" if "GPU" in facts else where
    return (
        f"\n{text}\n\n{where}; {facts['threads']} threads; {versions}; commit {facts['commit']}, "
        f"{facts['date']}.\n"
    )


def compared(rows: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Head and cells of rows, each ours beside a rival; ratios if there are any."""
    ratios = any(row["ratio"] is not None for row in rows)
    head = ["", "selfnorm", "rival"]
    head += ["times better (quartiles)", "aim, wanted"] if ratios else []
    cells = [
        [row["what"], row["ours"], f"{row['rival']}: {row['theirs']}".removesuffix(": ")]
        + ([spread(row), aims(row)] if ratios else [])
        for row in rows
    ]
    return head, cells


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def spread(row: dict[str, Any]) -> str:
    """The median of the ratios and their quartiles; nothing where the results are wrong."""
    if row["ratio"] is None or row["wrong"]:
        return ""
    return f"**{row['ratio']:.2f}** ({row['low']:.2f} to {row['high']:.2f})"


def aims(row: dict[str, Any]) -> str:
    """The ratios to reach, and whether they are."""
    if row["wanted"] is None:
        return row["verdict"]
    least = "" if row["least"] is None else f"{row['least']:.3g}"
    return f"{least}, {row['wanted']:.3g}: {row['verdict']}"


def main() -> None:
    """Write the pages, by way of temporary files."""
    for page in PAGES:
        temporary = page.with_suffix(".tmp")
        temporary.write_text(render(page.read_text()))
        temporary.replace(page)


if __name__ == "__main__":
    main()
