"""What does a monitor cost a training, at every 100th step?"""

import statistics
import time
import warnings
from collections.abc import Iterator

import torch

import selfnorm
from benchmarks._harness import Row, duration, main, ratios

EVERY = 100


def measure(quick: bool) -> Iterator[Row]:
    """Steps of AdamW, in turns with and without."""
    warnings.simplefilter("ignore", selfnorm.errors.SelfNormWarning)
    sizes = [(64, 4, 64)] if quick else [(512, 16, 256), (256, 8, 256), (128, 8, 128), (64, 4, 64)]
    for width, depth, rows in sizes:
        yield overhead(width, depth, rows, turns=2 if quick else 15)


def overhead(width: int, depth: int, rows: int, turns: int, device: str = "cpu") -> Row:
    """The ratio of 100 steps with, one of them watched, to 100 without."""
    torch.manual_seed(0)
    model = selfnorm.nn.MLP(width, 1, width=width, depth=depth).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
    x = torch.randn(rows, width, device=device)

    def steps() -> float:
        start = time.perf_counter()
        for _ in range(EVERY):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
        if x.is_cuda:
            torch.cuda.synchronize()
        return (time.perf_counter() - start) / EVERY

    steps()
    times: dict[str, list[float]] = {"ours": [], "plain": []}
    seen = 0
    for turn in range(2 * turns):
        if (turn + turn // 2) % 2:  # each goes first in every other pair
            times["plain"].append(steps())
            continue
        with selfnorm.monitor(model, every=EVERY) as monitor:
            times["ours"].append(steps())
        seen += len({record.step for record in monitor.records})
    low, ratio, high = ratios(times["ours"], times["plain"])
    ours, theirs = (duration(statistics.median(times[key])) for key in ("ours", "plain"))
    wrong = "" if seen == turns else f"{seen} steps were watched, not {turns}"
    what = f"a step of MLP {width} x {depth}, {rows} rows, monitored at every {EVERY}th"
    return Row(what, "without", ours, theirs, ratio, low, high, 1 / 1.02, 1 / 1.02, wrong)


if __name__ == "__main__":
    main("monitor", measure)
