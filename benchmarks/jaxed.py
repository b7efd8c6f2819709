"""How exact and how fast are SELU and alpha dropout in JAX, beside `jax.nn.selu` and by hand?

Errors are in units in the last place of SELU in float64, of every float32 that neither is nor gives
a subnormal number, which XLA takes for 0. Times are of compiled functions on the CPU.
"""

from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np
import torch

from benchmarks._harness import Row, budget, compare, main
from benchmarks._rivals import HAS_JAX, jax_alpha_dropout
from benchmarks.accuracy import CHUNK, Worst, exact_selu

P, MI = 0.1, 1 << 20


def measure(quick: bool) -> Iterator[Row]:
    """Rows; none where JAX is not installed."""
    if not HAS_JAX:
        return
    import jax

    import selfnorm.jax as sn

    wrong = yield from every_float32(4096 if quick else 1)
    x = jax.random.normal(jax.random.key(0), (MI // 16 if quick else MI,))
    key, within = jax.random.key(1), budget(quick)
    size = f"{x.size // 1024} Ki float32"

    def timed(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
        compiled = jax.jit(function)
        return lambda: jax.block_until_ready(compiled(*arguments))

    def by_hand(key: Any, x: Any) -> Any:
        return jax_alpha_dropout(jax.nn.selu(x), key, P)

    def pair(key: Any, x: Any) -> Any:
        return sn.selu_alpha_dropout(key, x, P)

    def backward(function: Callable[..., Any]) -> Callable[..., Any]:
        return jax.grad(lambda x, key: function(key, x).sum())

    ours, theirs = (np.asarray(function(key, x)) for function in (pair, by_hand))
    for moments in (ours.mean(), theirs.mean(), ours.var() - 1, theirs.var() - 1):
        wrong = wrong or ("" if abs(moments) < 0.05 else "mean or variance is not kept")
    rows = (
        ("selu", timed(sn.selu, x), timed(jax.nn.selu, x)),
        ("selu + alpha dropout", timed(pair, key, x), timed(by_hand, key, x)),
        ("the same, gradient", timed(backward(pair), x, key), timed(backward(by_hand), x, key)),
    )
    for what, mine, other in rows:
        aims = {"jax": (1.0, 2.0)}
        yield from compare(f"{what}, {size}", mine, {"jax": other}, within, aims, wrong)


def every_float32(step: int) -> Generator[Row, None, str]:
    """Bit pattern by bit pattern; each `step`-th if not all. Returns what is wrong."""
    import jax

    import selfnorm.jax as sn

    functions = {"ours": sn.selu, "jax": jax.jit(jax.nn.selu)}
    worst = {name: Worst(normal_only=True) for name in functions}
    for start in range(-(1 << 31), 1 << 31, CHUNK):
        bits = torch.arange(start, min(start + CHUNK, 1 << 31), step, dtype=torch.int64)
        x = bits.to(torch.int32).view(torch.float32)
        exact = exact_selu(x)
        for name, function in functions.items():
            worst[name].see(x, torch.from_numpy(np.array(function(x.numpy()))), exact)
    wrong = "" if worst["ours"].ulps <= 1.01 else "more than 1.01 ulp"
    what = f"selu, {worst['ours'].count:,} float32"
    yield Row(what, "jax", str(worst["ours"]), str(worst["jax"]), wrong=wrong)
    return wrong


if __name__ == "__main__":
    main("jaxed", measure)
