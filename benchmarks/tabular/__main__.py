"""Measure methods on tasks, or what of that is not measured yet: `python -m benchmarks.tabular`.

Results go to RESULTS/tabular, a file for each method. Ctrl-C loses no more than the run that is
under way; the same command goes on from there.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.tabular import _options, runs, tasks
from benchmarks.tabular._worker import Run, Setting
from benchmarks.tabular.methods import METHODS, find

QUICK = ("iris", "hayes-roth", "seeds", "haberman-survival")


def main() -> None:
    """Read the options and measure."""
    parser = _options.for_runs(__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny tasks, quick methods; no files")
    options = parser.parse_args()
    if not options.quick:
        return measure(options, options.results / "tabular")
    options.tasks, options.splits = QUICK, (0,)
    options.methods = tuple(name for name in options.methods if METHODS[name].quick)
    with tempfile.TemporaryDirectory() as folder:
        return measure(options, Path(folder))


def measure(options: argparse.Namespace, folder: Path) -> None:
    """Measure what is asked for and not there, and print each result as it comes."""
    entries = tasks.choose(
        tasks.catalog(options.data), options.half, options.tasks, options.most_rows
    )
    methods = [name for name in options.methods if is_here(name)]
    wanted = [
        Run(method, entry.name, split)
        for split in range(max(tasks.SPLITS, tasks.FOLDS))
        if not options.splits or split in options.splits
        for method in methods
        for entry in entries
        if split < entry.splits
    ]
    there = {} if options.again == "all" else runs.read(folder, methods)
    if options.again == "failed":
        there = {run: one for run, one in there.items() if one["error"] is None}
    missing = [run for run in wanted if run not in there]
    if any(entry.group == "judged" for entry in entries):
        runs.look(folder, methods, "run")
    print(f"{len(wanted)} runs, {len(missing)} of them to do; results in {folder}", flush=True)

    def take(record: runs.Record) -> None:
        runs.keep(folder, record)
        print(line(record), flush=True)

    setting = Setting(options.data, options.threads)
    try:
        runs.carry_out(missing, setting, options.jobs, options.time_limit, take)
    except KeyboardInterrupt:
        raise SystemExit("Stopped. The same command goes on from here.") from None


def is_here(name: str) -> bool:
    """Whether a method's packages are installed; says so if not."""
    if missing := find(name).missing():
        print(f"{name} is left out: {', '.join(missing)} is not installed.", flush=True)
    return not missing


def line(record: runs.Record) -> str:
    """A result as a line of text."""
    value = record["accuracy"] if record["r2"] is None else record["r2"]
    found = record["error"] if value is None else f"{value:.4f}"
    what = f"{record['method']:22} {record['task']:32} {record['split']}"
    return f"{what}  {record['seconds_fit']:8.2f} s  {found}"


if __name__ == "__main__":
    main()
