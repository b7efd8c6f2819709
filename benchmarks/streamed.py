"""What does a table in parts cost beside the same in memory? Decoding, a fit, and its memory.

By processor time, as decoding and training run side by side, and in fresh processes. Memory is the
peak beyond what the same process held after a small fit, when all is imported and compiled.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from benchmarks._harness import Row, main
from selfnorm.tabular import Settings
from selfnorm.tabular.stream._parts import Part, open_parts
from selfnorm.tabular.stream._prepare import prepare_parts
from selfnorm.training import Options

COLUMNS, PARTS = 50, 8
_FIT = """
import json, sys, time, warnings
import torch
from selfnorm import tabular
warnings.simplefilter("ignore")
torch.set_num_threads(1)
parts, test, memory, epochs, members, few = json.loads(sys.argv[1])
def settings(memory, epochs):
    how = dict(epochs=epochs, patience=99, n_estimators=members, infinite=False)
    return tabular.Settings(target="y", test=0.0, memory=memory, **how)
def held(what):
    line = next(one for one in open("/proc/self/status") if one.startswith(what))
    return 1024 * int(line.split()[1])
told = {}
if few:
    tabular.fit(few, settings(None, 1))
    open("/proc/self/clear_refs", "w").write("5")
    told["before"] = held("VmRSS")
begin = time.process_time()
result = tabular.fit(parts, settings(memory, epochs))
told["seconds"] = time.process_time() - begin
if few:
    told["peak"] = held("VmHWM")
told.update(result.model.evaluate(test).metrics)
print(json.dumps(told))
"""


def measure(quick: bool) -> Iterator[Row]:
    """Decoding, fits in memory and in parts, and what those take."""
    rows, epochs = (12_000, 1) if quick else (300_000, 2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = write(folder / "parts", rows, PARTS, seed=0)
        test = write(folder / "test", rows // 3, 1, seed=1) / "0.parquet"
        yield from decoding(parts)
        for members in (2, 1) if quick else (8, 1):
            memory = 1e7 if quick else 2e8
            how = [(None, epochs, members, None), (memory, epochs, members, None)]
            inside, streamed = (fitted(parts, test, *each) for each in how)
            yield compared(rows, members, inside, streamed)
        few = write(folder / "few", 500, 1, seed=2) / "0.parquet"
        for memory in [1e7] if quick else [1e8, 2e8]:
            found = fitted(parts, test, memory, 1, 2, str(few))
            grown = found["peak"] - found["before"]
            what = f"{rows:,} x {COLUMNS}, two networks: memory beyond the program's, streamed"
            yield Row(what, f"allowed: {memory / 1e6:.0f} MB", f"{grown / 1e6:.0f} MB", "")


def write(folder: Path, rows: int, parts: int, seed: int) -> Path:
    """Float32 numbers, of which five tell the target, in Parquet of four row groups a part."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, COLUMNS), dtype=np.float32)
    signal = x[:, 0] + x[:, 1] * x[:, 2] + np.sin(2 * x[:, 3]) + np.abs(x[:, 4])
    target = np.where(signal + rng.standard_normal(rows) > 0.8, "yes", "no")
    table = pa.table({**{f"x{at}": x[:, at] for at in range(COLUMNS)}, "y": target})
    for number, some in enumerate(np.array_split(np.arange(rows), parts)):
        part = table.slice(some[0], len(some))
        pq.write_table(part, folder / f"{number}.parquet", row_group_size=-(-len(some) // 4))
    return folder


def decoding(folder: Path) -> Iterator[Row]:
    """Rows a second of processor time: from files to tidy cells, and to mini-batches."""
    files = sorted(folder.iterdir())
    parts, wanted = open_parts(files), 1e6
    for threads in (1, 2):
        rate = rows_a_second(lambda threads=threads: decoded(parts, threads))
        what = f"decode {COLUMNS} float32 columns of Parquet, {threads} thread{'s'[: threads - 1]}"
        ratio = rate / wanted
        text = f"{rate:,.0f} rows/s"
        yield Row(what, "aim", text, "1,000,000", ratio, ratio, ratio, 1.0, 1.0)
    how = Settings(target="y", n_estimators=1, infinite=False, device="cpu")
    ready = prepare_parts(files, None, how, 1e9, "")
    batches, order = ready.batches(Options()), torch.Generator()
    rate = rows_a_second(lambda: sum(map(len, batches.epoch(order.manual_seed(0)))))
    features = len(ready.encoder.features)
    what = f"the same, encoded to {features} features (pieces of numbers), in mini-batches"
    yield Row(what, "", f"{rate:,.0f} rows/s", "")


def decoded(parts: tuple[Part, ...], threads: int) -> int:
    """How many rows there are, once all are decoded by so many threads."""

    def read(part: Part) -> int:
        groups = (part.blocks(group, 8192) for group in range(part.groups))
        return sum(block.table.num_rows for blocks in groups for block in blocks)

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(read, parts))


def rows_a_second(work: Callable[[], int]) -> float:
    """The best of three, by processor time of all threads."""
    rates: list[float] = []
    for _ in range(3):
        begin = time.process_time()
        rows = work()
        rates.append(rows / (time.process_time() - begin))
    return max(rates)


def fitted(parts: Path, test: Path, *how: object) -> dict[str, Any]:
    """What a fit in a fresh process took and came to: memory, epochs, networks, a small table."""
    memory, *rest = how
    given = json.dumps([str(parts), str(test), 1e12 if memory is None else memory, *rest])
    outcome = subprocess.run(
        [sys.executable, "-c", _FIT, given],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if outcome.returncode:
        raise RuntimeError(outcome.stderr)
    return json.loads(outcome.stdout.splitlines()[-1])


def compared(rows: int, members: int, inside: dict[str, Any], streamed: dict[str, Any]) -> Row:
    """Processor time of both, and what they came to."""
    told = [f"{one['seconds']:.1f} s, log loss {one['log loss']:.4f}" for one in (streamed, inside)]
    ratio = inside["seconds"] / streamed["seconds"]
    networks = f"{members} networks" if members > 1 else "one network"
    what = f"fit of {rows:,} x {COLUMNS} in {PARTS} parts, {networks}: processor time"
    return Row(what, "in memory", *told, ratio, ratio, ratio, 1 / 1.3, 1.0)


if __name__ == "__main__":
    main("streamed", measure)
