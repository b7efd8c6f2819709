"""Do two processes train twice as fast as one? What a step costs, predicted beside measured.

A step takes max(compute, read) / processes + the sum of gradients over them. Compute, the sum and
the rate of reading are measured by themselves, and what follows from them is held against steps of
two processes of one thread each. The weights after the same steps have to be the same.
"""

import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import nn

from benchmarks._harness import Row, duration, main
from selfnorm.nn import MLP
from selfnorm.tabular import Settings
from selfnorm.tabular._distribution import Distribution
from selfnorm.tabular._ensemble import Ensemble
from selfnorm.tabular._settings import Distribute
from selfnorm.tabular.stream._prepare import prepare_parts
from selfnorm.training import Options, Processes, Rows, Shuffled
from selfnorm.training._batches import Folded
from selfnorm.training._loop import train_step
from selfnorm.training._state import State

FEATURES, COLUMNS = 64, 50
ROWS_AIM, MEMBERS_AIM = 1.6, 1.8
EQUAL = 1e-5  # of weights, as the processes' sums are rounded in another order


@dataclass(frozen=True)
class Network:
    """What is trained, and on mini-batches of how many rows."""

    width: int
    depth: int
    rows: int
    members: int | None = None

    def __str__(self) -> str:
        several = "" if self.members is None else f"{self.members} x "
        return f"{several}{self.rows} x {self.width} x {self.depth}"


@dataclass(frozen=True)
class Measured:
    """Seconds of steps, in the slowest process, and of its processor; the weights afterwards."""

    step: float
    processor: float
    weights: torch.Tensor


def measure(quick: bool) -> Iterator[Row]:
    """What a step is made of, and steps of one and of two processes."""
    turns, steps = (1, 3) if quick else (5, 30)
    large = Network(32, 2, 64) if quick else Network(512, 8, 1024)
    members = Network(16, 2, 64, 4) if quick else Network(256, 4, 256, 8)
    # In a process of its own: Arrow's threads would be in the way of later forks.
    (per_row,) = together(1, lambda _: reading(2_000 if quick else 500_000))
    yield Row(f"read, decode and encode {COLUMNS} columns", "", f"{1 / per_row:,.0f} rows/s", "")
    sizes = [count_of(large), 16 * count_of(large)]
    seconds = dict(zip(sizes, together(2, lambda p: summing(p, sizes, turns))[0], strict=True))
    for size in sizes:
        what = f"sum of {4 * size / 1e6:.2g} MB over 2 processes"
        rate = f"{4 * size / seconds[size] / 1e9:.2g} GB/s"
        yield Row(what, "", duration(seconds[size]), rate)
    yield from compared(large, "rows", turns, steps, seconds[sizes[0]], ROWS_AIM)
    yield from compared(members, "members", turns, steps, 0.0, MEMBERS_AIM)


def compared(
    network: Network, by: Distribute, turns: int, steps: int, summed: float, aim: float
) -> Iterator[Row]:
    """Steps of one process and of two, in turns, and what was predicted."""
    each: dict[int, list[Measured]] = {1: [], 2: []}
    for _ in range(turns):
        for size, found in each.items():
            ranks = together(size, lambda p: training(p, network, by, steps))
            slowest = (max(one[at] for one in ranks) for at in range(2))
            found.append(Measured(*slowest, ranks[0][2]))
    far = float((each[1][0].weights - each[2][0].weights).abs().max())
    wrong = "" if far < EQUAL else f"weights differ by {far:.1g}"
    one, two = ([found.step for found in each[size]] for size in (1, 2))
    low, ratio, high = _quartiles([a / b for a, b in zip(one, two, strict=True)])
    rates = [network.rows / statistics.median(times) for times in (two, one)]
    what = f"{network}, by {by}: rows/s, 2 processes"
    texts = [f"{rate:,.0f}" for rate in rates]
    yield Row(what, "1 process", *texts, ratio, low, high, aim, aim, wrong)
    predicted = statistics.median(one) / 2 + summed
    measured = duration(statistics.median(two))
    yield Row(f"{network}, by {by}: a step, predicted", "measured", duration(predicted), measured)
    used = [statistics.median([m.processor for m in each[size]]) for size in (2, 1)]
    what = f"{network}, by {by}: processor time a step, each of 2"
    yield Row(what, "1 process", *map(duration, used))


def count_of(network: Network) -> int:
    """How many parameters it has."""
    return sum(one.numel() for one in _model(network).parameters())


def training(processes: Processes, network: Network, by: Distribute, steps: int) -> tuple[Any, ...]:
    """Seconds a step, of the clock and of the processor, and the weights."""
    whole, masks, rows = _model(network), torch.Generator().manual_seed(0), _rows(network)
    spread = by == "members"
    shared = Distribution(processes, None if spread and not processes.several else by)
    mine = shared.mine(network.members or 1)
    batches: Any = Shuffled(rows, network.rows)
    if network.members is not None:
        batches = Folded(rows, None, network.members, network.rows, mine)
    options = Options(learning_rate=1e-3, members=network.members or 1)
    clock, processor = list[float](), list[float]()
    with shared.shared(whole, masks, 0) as (own, sharing):
        model = own if own.members is None else Ensemble([own])
        state = State.start(model.train(), options, 100, None, sharing)
        for number in range(steps // batches.steps + 1):
            starts = time.perf_counter(), time.process_time()
            for batch in sharing.epoch(batches, torch.Generator().manual_seed(number)):
                train_step(state, batch, nn.functional.mse_loss)
            clock.append((time.perf_counter() - starts[0]) / batches.steps)
            processor.append((time.process_time() - starts[1]) / batches.steps)
    flat = torch.cat([one.detach().flatten() for one in whole.parameters()])
    return statistics.median(clock[1:]), statistics.median(processor[1:]), flat


def summing(processes: Processes, sizes: list[int], turns: int) -> list[float]:
    """Seconds that a sum over processes takes, of so many numbers."""
    found: list[float] = []
    for size in sizes:
        values, times = torch.zeros(size), []
        for _ in range(10 * turns + 1):
            start = time.perf_counter()
            processes.add(values)
            times.append(time.perf_counter() - start)
        found.append(statistics.median(times[1:]))
    return found


def reading(rows: int) -> float:
    """Seconds that a row takes from Parquet to a mini-batch."""
    drawn = np.random.default_rng(0).standard_normal((COLUMNS, rows)).astype(np.float32)
    table = pa.table({f"x{number}": column for number, column in enumerate(drawn)})
    table = table.append_column("y", pa.array(drawn.sum(0)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "0.parquet"
        pq.write_table(table, path, row_group_size=max(1, rows // 8))
        settings = Settings(target="y", n_estimators=1, validation=0.0, test=0.0, device="cpu")
        ready = prepare_parts([path], None, settings, 1e9, "")
        start = time.perf_counter()
        batches = ready.batches(Options(batch_size=4096))
        count = sum(map(len, batches.epoch(torch.Generator().manual_seed(0))))
        return (time.perf_counter() - start) / count


def together(size: int, work: Callable[[Processes], Any]) -> list[Any]:
    """What processes of one thread each come to, in the order of their numbers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / str(rank) for rank in range(size)]
        started: list[int] = []
        for rank, file in enumerate(files):
            child = os.fork()
            if not child:
                _work(rank, size, port, work, file)
            started.append(child)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in started]
        if any(codes):
            raise RuntimeError(f"processes ended with {codes}")
        return [torch.load(file) for file in files]


def _work(rank: int, size: int, port: str, work: Callable[[Processes], Any], file: Path) -> None:
    code = 1
    try:
        torch.set_num_threads(1)
        os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "MASTER_PORT": port}
        os.environ |= {"MASTER_ADDR": "127.0.0.1"}
        with Processes.joined(300) as processes:
            torch.save(work(processes), file)
        code = 0
    except Exception as error:
        print(error, file=sys.stderr, flush=True)
    finally:
        os._exit(code)


def _model(network: Network) -> MLP:
    sizes = {"width": network.width, "depth": network.depth, "members": network.members}
    seed = torch.Generator().manual_seed(0)
    return MLP(FEATURES, 1, **sizes, generator=seed, device="cpu", dtype=torch.float32)


def _rows(network: Network) -> Rows:
    inputs = torch.randn(2 * network.rows, FEATURES, generator=torch.Generator().manual_seed(1))
    return Rows(inputs, inputs.mean(1, keepdim=True))


def _quartiles(values: list[float]) -> tuple[float, float, float]:
    ordered = sorted(values)
    low, median, high = (ordered[round(q * (len(ordered) - 1))] for q in (0.25, 0.5, 0.75))
    return low, median, high


if __name__ == "__main__":
    main("scaling", measure)
