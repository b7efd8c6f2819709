"""Who ranks where: `python -m benchmarks.tabular.judge`; tables, tabular.json and a picture.

`--name tabular_ten --methods ...` judges others beside it, on what all of these have results of.

The judged half is for claims alone: each look at it is noted in RESULTS/tabular/looks.jsonl.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _harness, table
from benchmarks.tabular import _options, picture, runs, tasks
from benchmarks.tabular.ranks import Records, Run
from benchmarks.tabular.standings import OURS, Judgement, judge
from selfnorm.plots import darken, save

# What is ranked by itself, with --half as the key: names of groups, and which tasks they hold.
HALVES = {name: {name: (name,)} for name in _options.HALVES} | {
    "all": {
        "development": ("development",),
        "judged": ("judged",),
        "all": ("development", "judged"),
    }
}
# Versions that the page names anyway.
SHOWN = {"selfnorm", "torch", "commit"}
NAME = "tabular"
FIGURES = table.PAGE.parent / "figures"


def main() -> None:
    """Print the tables, and write what the page takes."""
    parser = _options.parser(__doc__)
    parser.add_argument("--name", default=NAME, help="what the page has it by; others: no picture")
    options = parser.parse_args()
    folder = options.results / "tabular"
    records = runs.read(folder, options.methods)
    if options.splits:
        records = {run: one for run, one in records.items() if run.split in options.splits}
    if options.half in {"judged", "all"}:
        runs.look(folder, {run.method for run in records}, "judge")
    judged = list(judgements(records, options.methods, options.half, options.data))
    tables = [*map(summary, judged), *pulsars(records)]
    details = [*map(by_task, judged)]
    for part in tables + details:
        print(f"{part['title']}\n\n{table.markdown(part['head'], part['rows'])}\n")
    found: dict[str, Any] = {"tables": tables, "by_task": details}
    if judged and options.name == NAME:
        own = options.results == _harness.RESULTS
        shown = next((one for one in judged if one.group == options.half), judged[0])
        found["figure"] = draw(shown, FIGURES if own else options.results)
    write(options.results / f"{options.name}.json", records, found)


def judgements(
    records: Records, methods: Sequence[str], half: str, data: Path
) -> Iterator[Judgement]:
    """A judgement of each group of tasks, regression too, where methods can be compared."""
    entries = tasks.catalog(data).values()
    for group, held in (HALVES[half] | HALVES["regression"]).items():
        chosen = [one.name for one in entries if one.group in held]
        here = {run.method for run in records if run.task in chosen}
        score = "r2" if group == "regression" else "accuracy"
        found = judge(records, [name for name in methods if name in here], chosen, group, score)
        if found is not None:
            yield found


def write(path: Path, records: Records, tables: dict[str, Any]) -> None:
    """Write where it was measured, and the tables, by way of a temporary file."""
    versions = {key: value for one in records.values() for key, value in one["versions"].items()}
    facts = {key: text for key, text in _harness.machine().items() if text != "not installed"} | {
        "threads": "/".join(sorted({str(one["threads"]) for one in records.values()})),
        "rivals": ", ".join(f"{key} {versions[key]}" for key in sorted(versions.keys() - SHOWN)),
    }
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({"machine": facts, **tables}, indent=1) + "\n")
    temporary.replace(path)


def draw(judged: Judgement, folder: Path) -> str:
    """Save the picture, for light and for dark pages; returns what the page shows it by."""
    save(picture.ranks_by_time(judged), folder / "tabular.png")
    save(darken(picture.ranks_by_time(judged)), folder / "tabular-dark.png")
    text = "Mean rank of each method beside the time that fitting took"
    forms = (("tabular.png", "light"), ("tabular-dark.png", "dark"))
    links = [f"![{text}](figures/{name}#only-{form}){{ .wide }}" for name, form in forms]
    return "\n".join(links) + "\n\n"


def summary(judged: Judgement) -> dict[str, Any]:
    """The standings as a table for the page."""
    classifies = judged.score == "accuracy"
    head = ["", "mean rank", "mean accuracy" if classifies else "mean R2"]
    head += ["mean rank of log loss", "ECE"] if classifies else []
    head += ["fitting, a split", "last or last but one", "first", "p against ours", "failed"]
    rows = []
    for one in judged.standings:
        row = [f"**{one.method}**" if one.method == OURS else one.method]
        row += [f"{one.rank:.2f}", f"{one.score:.4f}"]
        row += [_text(one.loss_rank, ".2f"), _text(one.ece, ".3f")] if classifies else []
        row += [_harness.duration(one.seconds), f"{one.behind:.0%}", str(one.wins)]
        rows.append([*row, _text(one.p, ".2g"), str(one.failures)])
    title = (
        f"{judged.group.capitalize()}: {len(judged.splits)} tasks, "
        f"{sum(map(len, judged.splits.values()))} splits. Mean ranks differ at 5 % from "
        f"{judged.critical:.2f} on (Nemenyi)."
    )
    return {"title": title, "head": head, "rows": rows}


def by_task(judged: Judgement) -> dict[str, Any]:
    """Each method's score on each task as a table."""
    rows = [
        [task, *(_text(None if np.isnan(value) else value, ".4f") for value in values)]
        for task, values in zip(judged.splits, judged.scores, strict=True)
    ]
    title = f"{judged.group.capitalize()}: {judged.score} by task."
    return {"title": title, "head": ["", *judged.methods], "rows": rows}


def pulsars(records: Records) -> Iterator[dict[str, Any]]:
    """AUC on HTRU2: the mean over ten folds, and each fold; the best first."""
    methods = sorted({run.method for run in records if run.task == "htru2"})
    found = {
        name: [records.get(Run(name, "htru2", k), {}).get("auc") for k in range(tasks.FOLDS)]
        for name in methods
    }
    whole = {name: np.mean(values) for name, values in found.items() if None not in values}
    rows = [
        [name, f"{whole[name]:.4f}", *(f"{value:.4f}" for value in found[name])]
        for name in sorted(whole, key=lambda name: -whole[name])
    ]
    head = ["", "mean", *(f"fold {k}" for k in range(tasks.FOLDS))]
    if rows:
        yield {"title": "HTRU2: AUC over ten stratified folds.", "head": head, "rows": rows}


def _text(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


if __name__ == "__main__":
    main()
