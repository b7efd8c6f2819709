"""What do importing selfnorm and its first call cost, with and without compiled code on disk?"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from statistics import median

from benchmarks._harness import Row, duration, main, ratios

_CLOCK = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"
_AFTER = "import torch, selfnorm.ops; x = torch.randn(9); " + _CLOCK
_PREDICT = """
import os, sys
from selfnorm.cli import main
out, sys.stdout = sys.stdout, open(os.devnull, "w")
sys.argv = ["selfnorm", "predict", "m", "one.csv"]
try:
    main()
except SystemExit as end:
    assert not end.code
spent = os.times()
print(spent.user + spent.system, file=out)
"""
_FIT = """
import pyarrow as pa, pyarrow.csv
from selfnorm import tabular
from selfnorm.tabular.data._table import read_table
table = read_table("breast-cancer")
model = tabular.fit("breast-cancer", tabular.Settings(epochs=1)).model
tabular.save_model(model, "m")
pa.csv.write_csv(table.slice(0, 1), "one.csv")
"""
_CALL = "selfnorm.ops.selu_alpha_dropout(x, .1, True)"


def measure(quick: bool) -> Iterator[Row]:
    """Imports, then first calls, each in fresh processes."""
    repeats = 1 if quick else 7
    torch = seconds(_CLOCK.format("import torch"), repeats)
    for what in ("import torch, selfnorm.nn", "import selfnorm"):
        ours = seconds(_CLOCK.format(what), repeats)
        yield Row(what, "torch alone", duration(median(ours)), duration(median(torch)))
    with tempfile.TemporaryDirectory() as folder:
        cold = seconds(_AFTER.format(_CALL), 1, SELFNORM_CACHE=folder)
        warm = seconds(_AFTER.format(_CALL), repeats, SELFNORM_CACHE=folder)
    low, ratio, high = ratios(warm, [0.5] * len(warm))
    yield Row(
        "first call in a fresh process, code on disk",
        "aim: 0.5 s; first call ever",
        duration(median(warm)),
        duration(median(cold)),
        ratio,
        low,
        high,
        least=1.0,
        wanted=2.0,
    )
    yield predicted(repeats)


def predicted(repeats: int) -> Row:
    """Processor time of `selfnorm predict` on one row; that of the interpreter is in it."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", _FIT], cwd=folder, check=True)
        spent = seconds(_PREDICT, repeats, folder)
    low, ratio, high = ratios(spent, [0.5] * len(spent))
    return Row(
        "selfnorm predict, one row of 30 numbers, processor time",
        "wanted: 0.5 s",
        duration(median(spent)),
        "1 s is the most",
        ratio,
        low,
        high,
        least=0.5,
        wanted=1.0,
    )


def seconds(code: str, repeats: int, folder: str | None = None, **environment: str) -> list[float]:
    """What fresh processes print."""
    outcomes = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=folder,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=True,
        )
        for _ in range(repeats)
    ]
    return [float(outcome.stdout) for outcome in outcomes]


if __name__ == "__main__":
    main("startup", measure)
