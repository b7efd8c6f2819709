"""What a setting of our estimator is worth: `python -m benchmarks.tabular.ablations`.

Every variant is measured on the same splits as the default, then compared with it task by task;
the table goes into tabular_ablations.json.
"""

from collections.abc import Iterator

import numpy as np

from benchmarks import table
from benchmarks.tabular import _options, ranks, runs, tasks
from benchmarks.tabular.__main__ import measure
from benchmarks.tabular.judge import write
from benchmarks.tabular.ranks import Records, Run
from benchmarks.tabular.variants import DEFAULT, VARIANTS

HEAD = ["", "tasks", "difference", "better", "worse", "p", "log loss, difference", "times as long"]


def main() -> None:
    """Measure the variants that are not measured yet, and print the comparison."""
    parser = _options.for_runs(__doc__)
    parser.add_argument("--compare", action="store_true", help="measure nothing more")
    parser.set_defaults(methods=tuple(VARIANTS))
    options = parser.parse_args()
    folder = options.results / "tabular" / "ablations"
    if not options.compare:
        options.methods = tuple(dict.fromkeys((DEFAULT, *options.methods)))
        measure(options, folder)
    chosen = tasks.choose(
        tasks.catalog(options.data), options.half, options.tasks, options.most_rows
    )
    if any(entry.group == "judged" for entry in chosen):
        runs.look(folder, options.methods, "ablations")
    score = "r2" if options.half == "regression" else "accuracy"
    records = runs.read(folder, (DEFAULT, *options.methods))
    rows = list(compare(records, [one.name for one in chosen], score))
    title = f"Differences of {score} from the default, mean and standard error over tasks."
    print(f"\n{title}\n\n{table.markdown(HEAD, rows)}")
    found = {"tables": [{"title": title, "head": HEAD, "rows": rows}]}
    write(options.results / "tabular_ablations.json", records, found)


def compare(records: Records, names: list[str], score: str) -> Iterator[list[str]]:
    """A row for each variant: what it gains on the tasks that it shares with the default."""
    for variant in dict.fromkeys(run.method for run in records if run.method != DEFAULT):
        pair = (DEFAULT, variant)
        splits = ranks.shared(records, pair, names)
        if not splits:
            continue
        ours, theirs = ranks.means(records, pair, splits, score).T
        gains = theirs - ours
        losses = np.diff(ranks.means(records, pair, splits, "log_loss"))[:, 0]
        seconds = [
            sum(records[Run(name, task, k)]["seconds_fit"] for task in splits for k in splits[task])
            for name in pair
        ]
        yield [
            variant,
            str(len(splits)),
            with_error(gains),
            str((gains > 0).sum()),
            str((gains < 0).sum()),
            f"{ranks.signed_rank(ours, theirs):.2g}",
            with_error(losses),
            f"{seconds[1] / seconds[0]:.2f}",
        ]


def with_error(values: np.ndarray) -> str:
    """Mean and standard error of what is there; nothing if there are no two."""
    there = values[~np.isnan(values)]
    if len(there) < 2:
        return ""
    return f"{there.mean():+.4f} ± {there.std(ddof=1) / np.sqrt(len(there)):.4f}"


if __name__ == "__main__":
    main()
