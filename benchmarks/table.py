"""Put the figures of `results/*.json` into docs/benchmarks.md, each file between its own marks."""

import json
import re
from pathlib import Path
from typing import Any

from benchmarks._harness import RESULTS

PAGE = RESULTS.parent.parent / "docs" / "benchmarks.md"
_MARKS = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def render(page: str, results: Path = RESULTS) -> str:
    """The page with every table anew; where there are no results, it stays as it is."""

    def replace(found: re.Match[str]) -> str:
        path = results / f"{found[2]}.json"
        result = json.loads(path.read_text()) if path.exists() else {"rows": []}
        return f"{found[1]}{tables(result)}{found[3]}" if result["rows"] else found[0]

    return _MARKS.sub(replace, page)


def tables(result: dict[str, Any]) -> str:
    """A table of the rows, and a line that says where they were measured."""
    rows = result["rows"]
    compared = any(row["ratio"] is not None for row in rows)
    head = [
        "",
        "selfnorm",
        "rival",
        *(["times better (quartiles)", "aim, wanted"] if compared else []),
    ]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        cells = [row["what"], row["ours"], f"{row['rival']}: {row['theirs']}".removesuffix(": ")]
        lines.append(cells + ([spread(row), aims(row)] if compared else []))
    facts = result["machine"]
    names = ("torch", "numba", "triton", "jax", "numpy", "python")
    versions = ", ".join(f"{name} {facts[name]}" for name in names if name in facts)
    where = f"{facts['processor']}, {facts['cores']} cores, {facts['vectors']}"
    where = f"{facts['GPU']}; {where}" if "GPU" in facts else where
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return (
        f"\n{text}\n\n{where}; {facts['threads']} threads; {versions}; commit {facts['commit']}, "
        f"{facts['date']}.\n"
    )


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
    """Write the page, by way of a temporary file."""
    temporary = PAGE.with_suffix(".tmp")
    temporary.write_text(render(PAGE.read_text()))
    temporary.replace(PAGE)


if __name__ == "__main__":
    main()
