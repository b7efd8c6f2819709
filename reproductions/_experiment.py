"""An experiment: its jobs, what each finds, and how what was found is shown.

Results are one JSON file an experiment. A job whose result is there is not run again, so a run that
was stopped goes on where it was, and a larger form measures what is missing.
"""

import argparse
import importlib.util
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import torch
from benchmarks._harness import machine
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
RESULTS = Path(__file__).parent / "results"
QUICK = ROOT / "build" / "reproductions"

Form = Literal["quick", "short", "full"]
Job = dict[str, Any]
Record = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """A table of the page: a sentence, the head and the cells."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Picture:
    """A figure of the page: its file's name, what it shows in words, and what draws it."""

    name: str
    about: str
    draw: Callable[[], Figure]


@dataclass(frozen=True)
class Experiment:
    """One table or figure of the paper.

    `jobs` lists what a form measures, with plain values only, as they are the key of a result;
    `run` measures one of them with the data of a folder. `prepare` makes once what all of them
    read. `needs` are the data's paths in that folder, and `source` says where they are published.
    """

    name: str
    jobs: Callable[[Form, Path], list[Job]]
    run: Callable[[Job, Path], Record]
    tables: Callable[[list[Record]], list[Table]]
    pictures: Callable[[list[Record]], list[Picture]] = lambda _: []
    needs: tuple[str, ...] = ()
    source: str = ""
    prepare: Callable[[Path], object] = lambda _: None

    def lacks(self, data: Path) -> list[str]:
        """What of its data is not there."""
        return [name for name in self.needs if not (data / name).exists()]


class MissingPackageError(Exception):
    """A package that only this experiment needs is not installed."""


def require(package: str) -> None:
    """Raise if a package of the extra `paper` is not there."""
    if importlib.util.find_spec(package) is None:
        raise MissingPackageError(
            f"It needs the package {package}, which is not installed: "
            "pip install 'selfnorm[paper]'."
        )


def read(path: Path) -> dict[str, Any]:
    """A file of results; an empty one where there is none."""
    return json.loads(path.read_text()) if path.exists() else {"machines": [], "runs": []}


def write(path: Path, machines: list[dict[str, str]], records: list[Record]) -> None:
    """Machines and results, one a line, by way of a temporary file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    named, lines = (",\n".join(map(json.dumps, each)) for each in (machines, records))
    temporary = path.with_suffix(".tmp")
    temporary.write_text(f'{{"machines": [\n{named}\n],\n"runs": [\n{lines}\n]}}\n')
    temporary.replace(path)


def by_setting(records: list[Record], names: Sequence[str]) -> dict[str, list[Record]]:
    """Records of one setting together, by what that is in words; the largest group first."""
    found: dict[str, list[Record]] = {}
    for one in records:
        told = ", ".join(f"{name} {one['job'][name]}" for name in names)
        found.setdefault(told, []).append(one)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def key(job: Job) -> str:
    """What tells jobs apart."""
    return json.dumps(job, sort_keys=True)


def measure(
    experiment: Experiment, form: Form, data: Path, results: Path, processes: int = 1
) -> int:
    """Run the jobs that have no result yet, and write each result as it comes; returns how many."""
    path = results / f"{experiment.name}.json"
    stored = read(path)
    records, machines = stored["runs"], stored["machines"]
    there = {key(one["job"]) for one in records}
    wanted = experiment.jobs(form, data)
    missing = [job for job in wanted if key(job) not in there]
    print(f"{experiment.name}: {len(wanted)} jobs, {len(missing)} to do; {path}", flush=True)
    if missing:
        experiment.prepare(data)
    facts = machine() | {"threads": "1"}
    machines = machines if facts in machines else [*machines, facts]
    for record in _records(missing, partial(_timed, experiment.run, data), processes):
        records.append(record)
        write(path, machines, records)
        print(f"{record['processor']:8.1f} s  {key(record['job'])}", flush=True)
    return len(missing)


def _timed(run: Callable[[Job, Path], Record], data: Path, job: Job) -> Record:
    """A job on one thread, from a seed of its own."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        torch.manual_seed(job.get("seed", 0))
        begin, worked = time.perf_counter(), time.process_time()
        found = run(job, data)
        spent = {
            "seconds": round(time.perf_counter() - begin, 2),
            "processor": round(time.process_time() - worked, 2),
        }
        return {"job": job, **found, **spent}
    finally:
        torch.set_num_threads(threads)


def _records(jobs: list[Job], run: Callable[[Job], Record], processes: int) -> Iterator[Record]:
    """Each job's record, in the order in which they are done."""
    if processes == 1 or len(jobs) < 2:
        yield from map(run, jobs)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        try:
            for one in as_completed([pool.submit(run, job) for job in jobs]):
                yield one.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def parser(about: str | None) -> argparse.ArgumentParser:
    """The options that all commands share."""
    made = argparse.ArgumentParser(description=about)
    form = made.add_mutually_exclusive_group()
    for name, about_form in (
        ("quick", "seconds, to see that it runs; results in build/reproductions"),
        ("full", "hours or days: as near to the paper as is written down"),
    ):
        form.add_argument(f"--{name}", dest="form", action="store_const", const=name,
                          help=about_form)  # fmt: skip
    made.add_argument("--data", type=Path, default=DATA, help="folder of the data")
    made.add_argument("--results", type=Path, help="folder of the results")
    made.add_argument("--processes", type=int, default=1, help="jobs at once, one thread each")
    made.set_defaults(form="short")
    return made


def lacking(experiment: Experiment, data: Path) -> str:
    """The rule, what came, what to do."""
    missing = ", ".join(experiment.lacks(data))
    return (
        f"{experiment.name} reads {', '.join(experiment.needs)} in the folder of --data; "
        f"{data} has no {missing}. {experiment.source}"
    )


def main(experiment: Experiment, about: str | None, arguments: Sequence[str] | None = None) -> None:
    """Measure one experiment from the command line."""
    made = parser(about)
    options = made.parse_args(arguments)
    if experiment.lacks(options.data):
        made.error(lacking(experiment, options.data))
    results = options.results or (QUICK if options.form == "quick" else RESULTS)
    try:
        measure(experiment, options.form, options.data, results, options.processes)
    except MissingPackageError as missing:
        made.error(f"{experiment.name}: {missing}")
    except KeyboardInterrupt:
        raise SystemExit("Stopped. The same command goes on from here.") from None
