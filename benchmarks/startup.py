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


def seconds(code: str, repeats: int, **environment: str) -> list[float]:
    """What fresh processes print."""
    outcomes = [
        subprocess.run(
            [sys.executable, "-c", code],
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
