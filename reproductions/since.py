"""What has been proposed since the paper, on the same deep networks with the same budget.

Each network is trained at three rates at once, by AdamW with a cosine (Muon-like steps by SGD), and
judged at the rate that validates best. Beside accuracy stands between what the variances of its
layers lie after training.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from benchmarks import _deep
from torch import Tensor, nn

import selfnorm
from reproductions._experiment import Experiment, Form, Job, Record, Table, by_setting, main
from reproductions._loop import Plan, cross_entropy, looks
from reproductions._networks import METHODS, Dropout, Method, Shape, build, of_any_depth
from reproductions._since import Affine, Muon, Pointwise, StandardizedLinear, normalized, tailored
from selfnorm import theory

MOST_WATCHED = 512
RATES = (3e-4, 1e-3, 3e-3)
MUON_RATES = (3e-3, 1e-2, 3e-2)
ORTHOGONAL = {"distribution": "orthogonal"}
NF_FACTOR = (2 / (1 - 1 / torch.pi)) ** 0.5  # which gives ReLU variance 1


@dataclass(frozen=True)
class Way:
    """A network, how much alpha dropout it has at a depth, and whether its steps are Muon's."""

    method: Method
    dropout: Callable[[int], float] = lambda _: 0.0
    muon: bool = False


selu = METHODS["SNN"]
shaped = replace(selu, activation=lambda depth: selfnorm.nn.SELU(depth=depth))
bidirectional = replace(selu, activation=of_any_depth(lambda: selfnorm.nn.SELU(bidirectional=True)))
kept = partial(replace, start=ORTHOGONAL, keep=True)


def of_variance_1(f: Callable[[], nn.Module]) -> Method:
    """An activation that needs weights of variance 1/inputs."""
    return Method(of_any_depth(f), gain=1.0)


WAYS = {
    "SELU, LeCun": Way(selu),
    "SELU, exact rows": Way(replace(selu, start={"exact": True})),
    "SELU, orthogonal start": Way(replace(selu, start=ORTHOGONAL)),
    "SELU, kept": Way(kept(selu)),
    "SELU shaped, LeCun": Way(shaped),
    "SELU shaped, orthogonal start": Way(replace(shaped, start=ORTHOGONAL)),
    "SELU shaped, kept": Way(kept(shaped)),
    "SELU bidirectional, LeCun": Way(bidirectional),
    "SELU bidirectional, kept": Way(kept(bidirectional)),
    "SELU, alpha dropout .05": Way(selu, lambda _: 0.05),
    "SELU, alpha dropout by the budget": Way(selu, theory.dropout_budget),
    "SELU, orthogonal start, Muon-like steps": Way(replace(selu, start=ORTHOGONAL), muon=True),
    "SELU shaped, orthogonal start, Muon-like steps": Way(
        replace(shaped, start=ORTHOGONAL), muon=True
    ),
    "ReLU, scaled weight standardization": Way(
        replace(of_variance_1(partial(Affine, torch.relu, NF_FACTOR)), linear=StandardizedLinear)
    ),
    "leaky ReLU by TAT, orthogonal start": Way(Method(tailored, 1.0, ORTHOGONAL)),
    "ReLU + Derf": Way(Method(norm=partial(Pointwise, torch.erf))),
    "ReLU + DyT": Way(Method(norm=partial(Pointwise, torch.tanh))),
    "Mish normalized": Way(of_variance_1(partial(normalized, "mish", nn.functional.mish))),
    "GELU normalized": Way(of_variance_1(partial(normalized, "gelu", nn.functional.gelu))),
    "ReLU + He": Way(METHODS["MSRAinit"]),
    "ReLU + BatchNorm": Way(METHODS["BatchNorm"]),
    "ReLU + LayerNorm": Way(METHODS["LayerNorm"]),
}
GRIDS = {
    "quick": {"depths": (3,), "width": 8, "steps": 4, "seeds": 1},
    "short": {"depths": (32,), "width": 64, "steps": 300, "seeds": 1},
    "full": {"depths": (8, 32, 100), "width": 128, "steps": 2000, "seeds": 3},
}


def jobs(form: Form, _: Path) -> list[Job]:
    """A job is all rates of one network."""
    grid = GRIDS[form]
    return [
        {"depth": depth, "seed": seed, "way": way, "width": grid["width"], "steps": grid["steps"]}
        for depth in grid["depths"] for seed in range(grid["seeds"]) for way in WAYS
    ]  # fmt: skip


def run(job: Job, _: Path) -> Record:
    """Validation loss, test accuracy, and the layers' least and largest variance, by rate."""
    rows, way = _deep.data("digits"), WAYS[job["way"]]
    rates = MUON_RATES if way.muon else RATES
    dropout = (way.dropout(job["depth"]),) * len(rates)
    shape = Shape(rows.training.inputs.shape[1], job["depth"], job["width"], rows.classes, dropout)
    model = build(way.method, shape)
    plan = Plan(
        rates,
        job["steps"],
        every=job["steps"],
        optimizer="sgd" if way.muon else "adamw",
        schedule="cosine",
        clip=None if way.muon else 1.0,
        keep=way.method.keep,
    )
    parts = [rows.validation.inputs, rows.test.inputs]
    step = Muon(model) if way.muon else lambda: None
    training = rows.training
    *_, end = looks(model, training.inputs, training.targets, parts, plan, before_step=step)
    held, judged = end.outputs
    losses = cross_entropy(held, rows.validation.targets)
    right = (judged.argmax(2) == rows.test.targets) & judged.isfinite().all(2)
    low, high = variances(model, training.inputs[:MOST_WATCHED])
    return {
        "rates": list(rates),
        "validated": [_number(one) for one in losses.tolist()],
        "tested": right.double().mean(1).round(decimals=4).tolist(),
        "low": [_number(one) for one in low.tolist()],
        "high": [_number(one) for one in high.tolist()],
    }


@torch.no_grad()
def variances(model: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the largest variance of each member's layers, over rows and units."""
    found: list[Tensor] = []
    hooks = [
        one.register_forward_hook(lambda _module, given, _: found.append(given[0].var((1, 2))))
        for one in model.modules() if isinstance(one, Dropout)
    ]  # fmt: skip
    model.eval()(inputs)
    for hook in hooks:
        hook.remove()
    layers = torch.stack(found)
    return layers.amin(0), layers.amax(0)


def _number(value: float) -> float | None:
    """What JSON has a word for."""
    return float(f"{value:.5g}") if abs(value) < float("inf") else None


def best(record: Record) -> int:
    """The place of the rate that validates best."""
    values = [float("inf") if one is None else one for one in record["validated"]]
    return values.index(min(values))


def tables(records: list[Record]) -> list[Table]:
    """A table for each depth, the best first."""
    made = []
    for setting, group in by_setting(records, ("depth", "width", "steps")).items():
        seeds = len({one["job"]["seed"] for one in group})
        lines = sorted((line(way, group) for way in WAYS if of(way, group)), reverse=True,
                       key=lambda cells: cells[1])  # fmt: skip
        title = (
            f"Digits, AdamW, batches of 64; {setting}; {seeds} seed(s), each network at the rate "
            "that validates best. A percent of the test rows is 2.7 of them:"
        )
        head = ["network", "test accuracy", "layers' variances after training", "rate"]
        made.append(Table(title, head, lines))
    return made


def of(way: str, records: list[Record]) -> list[Record]:
    """Those of one way."""
    return [one for one in records if one["job"]["way"] == way]


def line(way: str, records: list[Record]) -> list[str]:
    """Accuracy, variances and rate of a way, over its seeds."""
    mine = of(way, records)
    places = [best(one) for one in mine]
    pairs = list(zip(mine, places, strict=True))
    accuracy = sum(one["tested"][k] for one, k in pairs) / len(pairs)
    low = [_or_lost(one["low"][k]) for one, k in pairs]
    high = [_or_lost(one["high"][k]) for one, k in pairs]
    rates = sorted({one["rates"][k] for one, k in pairs})
    return [way, f"{accuracy:.3f}", f"{min(low):.2g} to {max(high):.2g}",
            ", ".join(f"{rate:g}" for rate in rates)]  # fmt: skip


def _or_lost(value: float | None) -> float:
    return float("inf") if value is None else value


EXPERIMENT = Experiment("since", jobs, run, tables)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
