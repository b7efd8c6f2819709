"""What breaks self-normalization, by how much, and whether the theory foretells it.

At the start: a plain network with random LeCun weights reads standard normal rows, one thing is
changed, and the variance of each layer stands beside the theory's. In training: the same networks
learn digits, and the variance afterwards stands beside what the theory says of the weights that
they then have, taken as independent of the data.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from benchmarks import _deep
from matplotlib.figure import Figure
from torch import Tensor, nn

import selfnorm
from reproductions._experiment import (
    Experiment,
    Form,
    Job,
    Picture,
    Record,
    Table,
    by_setting,
    main,
)
from reproductions._loop import Plan, looks
from reproductions._networks import Linear
from selfnorm import ops, theory
from selfnorm.plots._style import BAND, COLORS, INK, figure, plain_axes
from selfnorm.theory import THEOREM_1

LAYERS = (1, 2, 4, 8, 16, 32)
ROWS = 512
_LARGEST = 1e30  # a mean square that the theory takes


Foretold = Callable[[int], list[float]]


@dataclass(frozen=True)
class Start:
    """One thing that is changed at the start, and what the theory says of the layers' variance.

    `rows` makes inputs, `weights` changes a layer's, `behind` follows SELU and may take the layer's
    inputs too; `foretold` gives the variance behind each layer.
    """

    foretold: Foretold
    rows: Callable[[int, int], Tensor] = torch.randn
    gain: float = 1.0
    behind: Callable[[Tensor, Tensor], Tensor] = lambda x, _: x
    width: int = 256
    dtype: torch.dtype = torch.float32


def propagated(**given: Any) -> Foretold:
    """The theory's variances for random weights."""
    return lambda depth: theory.propagate(depth, omega="random", **given).variance[1:].tolist()


def followed(step: Callable[[float, float, float, float], tuple[float, float]]) -> Foretold:
    """Where something follows SELU.

    `step` takes mean and mean square of SELU's output and of the layer's inputs, and gives those of
    what goes on.
    """

    def follow(depth: int) -> list[float]:
        mean, square, found = 0.0, 1.0, []
        for _ in range(depth):
            one, variance = map(float, theory.moments(0.0, square))
            mean, square = step(one, variance + one**2, mean, square)
            found.append(square - mean**2)
        return found

    return follow


def dropped(p: float) -> Foretold:
    """Plain dropout: the mean stays, the mean square grows."""
    return followed(lambda mean, square, *_: (mean, square / (1 - p)))


def added(factor: float) -> Foretold:
    """`factor * (x + f(x))`, of which means add up, too."""
    return followed(
        lambda mean, square, m, s: (factor * (m + mean), factor**2 * (s + square + 2 * m * mean))
    )


def halved() -> Foretold:
    """The mean of two units, which are independent given the weights."""
    return followed(lambda mean, square, *_: (mean, (square + mean**2) / 2))


def correlated(rows: int, units: int) -> Tensor:
    """Normal units, each two with a correlation of one half."""
    return (torch.randn(rows, 1) + torch.randn(rows, units)) / 2**0.5


def pooled(x: Tensor, _: Tensor) -> Tensor:
    """The mean of two neighbors, in both their places."""
    return x.unflatten(1, (-1, 2)).mean(2, keepdim=True).expand(-1, -1, 2).flatten(1)


STARTS = {
    "nothing": Start(propagated()),
    "torch's gain for SELU, 3/4": Start(propagated(tau=9 / 16), gain=9 / 16),
    "weights' variance 20 % too large": Start(propagated(tau=1.2), gain=1.2),
    "He's variance, 2/inputs": Start(propagated(tau=2.0), gain=2.0),
    "alpha dropout, .1": Start(
        propagated(dropout=0.1), behind=lambda x, _: ops.alpha_dropout(x, 0.1, True)
    ),
    "plain dropout, .1": Start(dropped(0.1), behind=lambda x, _: nn.functional.dropout(x, 0.1)),
    "plain dropout, .5": Start(dropped(0.5), behind=lambda x, _: nn.functional.dropout(x, 0.5)),
    "inputs of mean 1": Start(propagated(mean=1.0), rows=lambda *n: torch.randn(*n) + 1),
    "inputs 10 times as large": Start(
        propagated(variance=100.0), rows=lambda *n: 10 * torch.randn(*n)
    ),
    "inputs a tenth as large": Start(
        propagated(variance=0.01), rows=lambda *n: torch.randn(*n) / 10
    ),
    "inputs correlated, .5": Start(propagated(correlation=0.5), rows=correlated),
    "residual sum, not scaled": Start(added(1), behind=torch.add),
    "residual sum, by the root of 1/2": Start(
        added(0.5**0.5), behind=lambda x, given: (x + given) / 2**0.5
    ),
    "means of two units": Start(halved(), behind=pooled),
    "four units a layer": Start(propagated(), width=4),
    "bfloat16": Start(propagated(), dtype=torch.bfloat16),
}


@dataclass(frozen=True)
class Training:
    """How the networks learn, where it is another way than AdamW at .001 without decay."""

    rate: float = 1e-3
    weight_decay: float = 0.0
    gain: float = 1.0
    keep: bool = False
    scale: float = 1.0


TRAININGS = {
    "AdamW, rate .0003": Training(rate=3e-4),
    "AdamW, rate .001": Training(),
    "AdamW, rate .003": Training(rate=3e-3),
    "rate .003, kept orthogonal": Training(rate=3e-3, keep=True),
    "weight decay 1": Training(weight_decay=1.0),
    "weight decay 10": Training(weight_decay=10.0),
    "torch's gain for SELU, 3/4": Training(gain=9 / 16),
    "He's variance, 2/inputs": Training(gain=2.0),
    "inputs 10 times as large": Training(scale=10.0),
}
GRIDS = {
    "quick": {"depth": 4, "width": 8, "steps": 4},
    "short": {"depth": 16, "width": 64, "steps": 300},
    "full": {"depth": 32, "width": 256, "steps": 2000},
}


def jobs(form: Form, _: Path) -> list[Job]:
    """Each condition at the start, for any form the same, and each in training."""
    return [{"start": name} for name in STARTS] + [
        {"training": name, **GRIDS[form]} for name in TRAININGS
    ]


def run(job: Job, _: Path) -> Record:
    """Variances behind layers, measured and foretold."""
    return started(STARTS[job["start"]]) if "start" in job else trained(job)


@torch.no_grad()
def started(condition: Start) -> Record:
    """Rows through a network that was just drawn."""
    x = condition.rows(ROWS, condition.width).to(condition.dtype)
    found = []
    for _ in range(max(LAYERS)):
        weight = (
            torch.randn(condition.width, condition.width)
            * (condition.gain / condition.width) ** 0.5
        )
        x = condition.behind(ops.selu(x @ weight.to(x.dtype).T), x)
        found.append(float(x.double().var()))
    told = condition.foretold(max(LAYERS))
    return {
        "layers": list(LAYERS),
        "measured": [_short(found[layer - 1]) for layer in LAYERS],
        "foretold": [_short(told[layer - 1]) for layer in LAYERS],
    }


def trained(job: Job) -> Record:
    """A network that has learned digits: variances, and the theory's by the weights it has then."""
    condition, rows = TRAININGS[job["training"]], _deep.data("digits")
    inputs = condition.scale * rows.training.inputs
    sizes = [inputs.shape[1], *[job["width"]] * job["depth"]]
    layers = [
        layer
        for before, units in pairwise(sizes)
        for layer in (Linear(1, before, units, gain=condition.gain), selfnorm.nn.SELU())
    ]
    model = nn.Sequential(*layers, Linear(1, job["width"], rows.classes))
    plan = Plan(
        (condition.rate,), job["steps"], every=job["steps"], optimizer="adamw", schedule="cosine",
        weight_decay=condition.weight_decay, clip=1.0, keep=condition.keep,
    )  # fmt: skip
    test = condition.scale * rows.test.inputs
    *_, end = looks(model, inputs, rows.training.targets, [test], plan)
    found, told = [], []
    x, square = inputs[:ROWS], float(inputs[:ROWS].square().mean())
    with torch.no_grad():
        for layer in model.eval()[:-1]:
            x = layer(x)
            if isinstance(layer, Linear):
                square *= float(layer.weight.square().sum(2).mean())
            else:
                found.append(float(x.var()))
                mean, variance = theory.moments(0.0, min(square, _LARGEST))
                told.append(float(variance))
                square = float(variance + mean**2)
    right = (end.outputs[0][0].argmax(1) == rows.test.targets).double().mean()
    shown = [layer for layer in LAYERS if layer <= job["depth"]]
    return {
        "layers": shown,
        "measured": [_short(found[layer - 1]) for layer in shown],
        "foretold": [_short(told[layer - 1]) for layer in shown],
        "accuracy": round(float(right), 4),
    }


def _short(value: float) -> float | None:
    """What JSON has a word for."""
    return float(f"{value:.4g}") if math.isfinite(value) else None


def tables(records: list[Record]) -> list[Table]:
    """Measured and foretold behind some layers: at the start, and in training."""
    starts = in_order(records, "start", STARTS)
    made = [
        Table(
            f"At the start, {ROWS} rows, layers of 256 units: variance behind a layer, "
            "measured and (the theory's):",
            ["what is changed", *(f"layer {layer}" for layer in LAYERS)],
            [[one["job"]["start"], *pairs(one)] for one in starts],
        )
    ] if starts else []  # fmt: skip
    later = in_order(records, "training", TRAININGS)
    for setting, group in by_setting(later, ("depth", "width", "steps")).items():
        head = [f"layer {layer}" for layer in group[0]["layers"]]
        lines = [[one["job"]["training"], *pairs(one), f"{one['accuracy']:.3f}"] for one in group]
        title = (
            f"After training on digits, {setting}: the same, where the theory knows the weights' "
            "squares and takes them as independent of the data:"
        )
        made.append(Table(title, ["training", *head, "test accuracy"], lines))
    return made


def in_order(records: list[Record], kind: str, names: Iterable[str]) -> list[Record]:
    """Those of one kind, as their conditions are listed."""
    here = [one for one in records if kind in one["job"]]
    return sorted(here, key=lambda one: list(names).index(one["job"][kind]))


def pairs(record: Record) -> list[str]:
    """Measured (foretold), layer by layer."""
    values = zip(record["measured"], record["foretold"], strict=True)
    return [f"{_told(ours)} ({_told(theory)})" for ours, theory in values]


def _told(value: float | None) -> str:
    return "lost" if value is None else f"{value:.3g}"


def drawn(records: list[Record]) -> Figure:
    """The last layer's variance by condition, measured and foretold, over theorem 1's range."""
    groups = {
        "At the start, behind 32 layers": ("start", STARTS),
        "After training, behind the last layer": ("training", TRAININGS),
    }
    made = figure(9.5, 4.4)
    for axes, (title, (kind, names)) in zip(made.subplots(1, 2), groups.items(), strict=True):
        here = in_order(records, kind, names)[::-1]
        plain_axes(axes, title=title, x="variance", y="")
        axes.axvspan(*THEOREM_1.variance, color=BAND, linewidth=0, label="theorem 1's box")
        for marker, color, name, label in (
            ("|", INK, "foretold", "predicted"), ("o", COLORS[1], "measured", "measured")
        ):  # fmt: skip
            values = [math.nan if one[name][-1] is None else one[name][-1] for one in here]
            size = 140 if marker == "|" else 24
            axes.scatter(values, range(len(here)), marker=marker, s=size, color=color, label=label,
                         zorder=3)  # fmt: skip
        axes.set_xscale("log")
        axes.set_yticks(range(len(here)), [one["job"][kind] for one in here], fontsize=8)
    lines, names = made.axes[0].get_legend_handles_labels()
    made.legend(lines, names, loc="outside lower center", ncols=3, frameon=False)
    return made


def pictures(records: list[Record]) -> list[Picture]:
    """One."""
    about = "Variance behind the last layer under each condition, measured and predicted"
    return [Picture("paper-conditions", about, lambda: drawn(records))]


EXPERIMENT = Experiment("conditions", jobs, run, tables, pictures)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
