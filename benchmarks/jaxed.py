"""How fast are SELU and alpha dropout in JAX, beside `jax.nn.selu` and by hand?

Times are of compiled functions on the CPU; each turn times ours and the rival one after the other,
so that what else the machine does is felt by both. How exact they are `jaxed_accuracy` says.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks._harness import Row, budget, compare, main
from benchmarks._rivals import HAS_JAX, jax_alpha_dropout
from benchmarks.jaxed_accuracy import every_float32, row

P, MI = 0.1, 1 << 20


def measure(quick: bool) -> Iterator[Row]:
    """Rows; none where JAX is not installed."""
    if not HAS_JAX:
        return
    import jax

    import selfnorm.jax as sn

    wrong = row(every_float32(4096)).wrong
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


if __name__ == "__main__":
    main("jaxed", measure)
