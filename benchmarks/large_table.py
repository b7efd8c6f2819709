"""What does a table of a million rows take: memory to fit, time and memory to predict?

Processor time stands beside that of scikit-learn's MLP of as many layers and units: one network,
where ours are eight.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from benchmarks._harness import Row, main

ROWS, QUICK, COLUMNS, FEW = 1_000_000, 30_000, 50, 2_000
_MEASURED = """
import atexit, os, sys
def tell():
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    spent = os.times()
    print("measured", int(peak.split()[1]) * 1024, spent.user + spent.system, file=sys.stderr)
atexit.register(tell)
exec(sys.argv.pop(1))
"""
_COMMAND = "from selfnorm.cli import main; main()"
# No page and no picture, which are made when the table is gone and would hide what it took.
_FIT = """
import warnings
from selfnorm import tabular
warnings.simplefilter("ignore")
sizes = dict(epochs=1, width=32, depth=1, batch_size=4096, infinite=False)
tabular.fit(sys.argv[1], tabular.Settings(target="y", **sizes))
"""

# Its own processor time alone is told, without training and imports.
_RIVAL = """
import os, warnings
import numpy as np, pyarrow.parquet as pq
from sklearn.neural_network import MLPClassifier
warnings.simplefilter("ignore")
table = pq.read_table(sys.argv[1])
X = np.stack([table[name].to_numpy() for name in table.column_names[:-1]], axis=1)
y = table["y"].to_numpy()
model = MLPClassifier((128, 128, 128), max_iter=1, random_state=0).fit(X[:5000], y[:5000])
before = os.times()
assert len(model.predict_proba(X)) == len(X)
after = os.times()
print("own", after.user + after.system - before.user - before.system, file=sys.stderr)
"""


class Cost(NamedTuple):
    """The most bytes that a process held, pages of files among them, and its processor time.

    `own` is that of the part which a process tells apart, 0 if it tells none.
    """

    peak: int
    seconds: float
    own: float = 0.0


def measure(quick: bool) -> Iterator[Row]:
    """Fresh processes; what a fit takes whatever the table is told apart."""
    rows = QUICK if quick else ROWS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = write(folder, rows)
        base = run(folder, _FIT, "few.parquet")
        fit = run(folder, _FIT, "many.parquet")
        yield of_memory(f"fit, {rows:,} x {COLUMNS} float32, Parquet", fit, base, table, 3.0, 2.0)
        fitting = ["fit", "many.parquet", "-t", "y", "--batch-size", "4096", "--epochs", "1", "-q"]
        run(folder, _COMMAND, *fitting, "-o", "usual")
        for ending in ("parquet", "csv"):
            predict = ["predict", "usual", f"many.{ending}", "-q", "-o", f"{ending}.csv"]
            cost = run(folder, _COMMAND, *predict)
            what = f"predict, {rows:,} x {COLUMNS}, eight networks, {ending}"
            wrong = "" if lines(folder / f"{ending}.csv") == rows + 1 else "rows are lost"
            ratio = 5.0 / cost.seconds
            yield Row(
                f"{what}: processor time",
                "aim: 5 s on two cores",
                f"{cost.seconds:.1f} s",
                "10 s",
                2 * ratio,
                2 * ratio,
                2 * ratio,
                least=1.0,
                wanted=1.0,
                wrong=wrong,
            )
            yield Row(f"{what}: peak", "the table", mib(cost.peak), mib(table))
            if ending == "parquet":
                yield of_rival(what, wrong, cost, run(folder, _RIVAL, "many.parquet"))


def write(folder: Path, rows: int) -> int:
    """Write the tables; the size of the large one in memory, in bytes."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((rows, COLUMNS), dtype=np.float32)
    noise = rng.standard_normal(rows, dtype=np.float32)
    target = values[:, 0] + values[:, 1] * values[:, 2] + noise > 0
    columns = {f"x{at}": values[:, at] for at in range(COLUMNS)}
    table = pa.table({**columns, "y": np.where(target, "yes", "no")})
    pq.write_table(table, folder / "many.parquet")
    pq.write_table(table.slice(0, FEW), folder / "few.parquet")
    pacsv.write_csv(table.drop_columns(["y"]), folder / "many.csv")
    return values.nbytes


def run(folder: Path, code: str, *arguments: str) -> Cost:
    """What a code costs in a fresh process."""
    outcome = subprocess.run(
        [sys.executable, "-c", _MEASURED, code, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    if outcome.returncode:
        raise RuntimeError(outcome.stderr)
    *others, last = outcome.stderr.strip().splitlines()
    _, peak, seconds = last.split()
    told = [float(line.split()[1]) for line in others if line.startswith("own ")]
    return Cost(int(peak), float(seconds), *told)


def of_rival(what: str, wrong: str, cost: Cost, rival: Cost) -> Row:
    """Processor time beside that of scikit-learn's MLP, once for each of eight networks."""
    ratio = 8 * rival.own / cost.seconds
    return Row(
        f"{what}: processor time, reading and imports included",
        "eight times predict_proba of scikit-learn's MLP of 3 x 128, one network",
        f"{cost.seconds:.1f} s",
        f"{8 * rival.own:.1f} s",
        *(ratio, ratio, ratio),
        least=1.0,
        wanted=2.0,
        wrong=wrong,
    )


def of_memory(what: str, cost: Cost, base: Cost, table: int, least: float, wanted: float) -> Row:
    """The memory beyond what a small table takes, beside the table's own size."""
    grown = cost.peak - base.peak
    ratio = least * table / grown
    return Row(
        f"{what}: peak beyond that of {FEW:,} rows",
        f"{least:g} times the table, wanted {wanted:g}",
        f"{mib(grown)} ({grown / table:.2f} times)",
        mib(int(least * table)),
        ratio,
        ratio,
        ratio,
        least=1.0,
        wanted=least / wanted,
    )


def mib(size: int) -> str:
    """Bytes in words."""
    return f"{size / 2**20:,.0f} MiB"


def lines(path: Path) -> int:
    """How many lines a file has."""
    with path.open("rb") as file:
        return sum(1 for _ in file)


if __name__ == "__main__":
    main("large_table", measure)
