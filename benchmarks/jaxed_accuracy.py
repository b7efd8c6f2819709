"""How exact is SELU in JAX? Every float32 there is, beside `jax.nn.selu`.

Errors are in units in the last place of SELU in float64, of every float32 that neither is nor gives
a subnormal number, which XLA takes for 0. What was seen is kept part by part beside the results,
for the formula as it stands: a run that was stopped goes on from there. All of them take a minute
or two of a processor.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np

from benchmarks._harness import RESULTS, Row, main
from benchmarks._rivals import HAS_JAX
from benchmarks.accuracy import AMPLITUDE, SLOPE, Worst

ALL = 1 << 32
PART, CHUNK = 1 << 27, 1 << 22
PROMISED = 1.0
KEPT = RESULTS / "jaxed_accuracy.parts"
_TINY = float(np.finfo(np.float32).tiny)
Seen = dict[str, Worst]


def measure(quick: bool) -> Iterator[Row]:
    """One row; none where JAX is not installed."""
    if HAS_JAX:
        yield row(every_float32(4096) if quick else kept())


def row(seen: Seen) -> Row:
    """Ours beside JAX's."""
    wrong = "" if seen["ours"].ulps <= PROMISED else f"more than {PROMISED} ulp"
    what = f"selu in JAX, {seen['ours'].count:,} float32"
    return Row(what, "jax", str(seen["ours"]), str(seen["jax"]), wrong=wrong)


def kept() -> Seen:
    """All of them, part by part; a part of the same formula and JAX that was seen is not again."""
    from jax import __version__

    from selfnorm._spec import _polynomials
    from selfnorm.jax import _formula

    files = (_formula.__file__, _polynomials.__file__)
    text = b"".join(Path(file).read_bytes() for file in files) + __version__.encode()
    own = hashlib.sha256(text).hexdigest()
    lines = KEPT.read_text().splitlines() if KEPT.exists() else []
    done = {part["start"]: part for part in map(json.loads, lines) if part["of"] == own}
    whole = {"ours": Worst(), "jax": Worst()}
    for start in range(0, ALL, PART):
        if start in done:
            part = {name: _again(facts) for name, facts in done[start]["seen"].items()}
        else:
            part = every_float32(1, range(start, start + PART))
            facts = {name: vars(worst) for name, worst in part.items()}
            with KEPT.open("a") as file:
                file.write(json.dumps({"of": own, "start": start, "seen": facts}) + "\n")
        for name, worst in part.items():
            _join(whole[name], worst)
    return whole


def every_float32(step: int, of: range = range(ALL)) -> Seen:
    """Bit pattern by bit pattern; each `step`-th if not all."""
    import jax

    import selfnorm.jax as sn

    functions: dict[str, Callable[[Any], Any]] = {"ours": sn.selu, "jax": jax.jit(jax.nn.selu)}
    worst = {name: Worst() for name in functions}
    for start in range(of.start, of.stop, CHUNK * step):
        stop = min(start + CHUNK * step, of.stop)
        x = np.arange(start, stop, step, dtype=np.int64).astype(np.uint32).view(np.float32)
        for name, function in functions.items():
            found = Worst()
            found.ulps, found.at, found.inexact, found.count = _errors(x, np.asarray(function(x)))
            found.ulps_of_normal = found.ulps
            _join(worst[name], found)
    return worst


@numba.njit
def _errors(x: Any, y: Any) -> tuple[float, float, int, int]:
    """The largest error, where it is, how many results are not the nearest, and of how many."""
    most, at, inexact, count = 0.0, 0.0, 0, 0
    for i in range(len(x)):
        given, found = np.float64(x[i]), np.float64(y[i])
        if not abs(given) < np.inf or abs(given) < _TINY:
            continue
        exact = SLOPE * given if given > 0 else AMPLITUDE * math.expm1(given)
        if abs(exact) < _TINY:
            continue
        count += 1
        if y[i] == np.float32(exact):
            continue
        inexact += 1
        _, exponent = math.frexp(exact)
        error = abs(found - exact) / math.ldexp(1.0, exponent - 24)
        if not error <= most:
            most, at = error, given
    return most, at, inexact, count


def _again(facts: dict[str, Any]) -> Worst:
    found = Worst()
    vars(found).update(facts)
    return found


def _join(whole: Worst, part: Worst) -> None:
    """Take another part's errors in."""
    if part.ulps > whole.ulps:
        whole.ulps, whole.at = part.ulps, part.at
    whole.ulps_of_normal = max(whole.ulps_of_normal, part.ulps_of_normal)
    whole.count += part.count
    whole.inexact += part.inexact


if __name__ == "__main__":
    main("jaxed_accuracy", measure)
