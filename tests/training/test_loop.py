"""The training loop: it learns, keeps the best epoch, and can be stopped."""

import math

import pytest
import torch
from torch import nn

from selfnorm import training
from selfnorm.errors import ArgumentError
from selfnorm.training import Epoch, Options, Progress, Rows, Shuffled
from selfnorm.training._predict import predict

OPTIONS = Options(epochs=30, batch_size=16, learning_rate=1e-2, weight_decay=0.0, patience=30)


def line(rows: int = 64) -> Rows:
    inputs = torch.linspace(-1, 1, rows)[:, None]
    return Rows(inputs, 3 * inputs + 1)


def score(outputs: torch.Tensor, targets: torch.Tensor) -> float:
    return float(nn.functional.mse_loss(outputs, targets))


def fit(model: nn.Module, rows: Rows, validation: Rows | None = None, **changes: object):
    options = Options(**{**vars(OPTIONS), **{k: v for k, v in changes.items() if k != "progress"}})
    told = changes.get("progress", Progress())
    return training.fit(
        model,
        Shuffled(rows, options.batch_rows(len(rows))),
        validation,
        loss=nn.functional.mse_loss,
        score=score,
        options=options,
        progress=told,
    )


class Told(Progress):
    """Counts what it is told; at a step it may press Ctrl-C."""

    def __init__(self, ctrl_c_at: int | None = None) -> None:
        self.total, self.steps, self.epochs = 0, 0, []
        self.ctrl_c_at = ctrl_c_at

    def start(self, steps: int) -> None:
        self.total = steps

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.ctrl_c_at:
            raise KeyboardInterrupt

    def epoch(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)


def test_it_learns_a_line() -> None:
    torch.manual_seed(0)
    model, told = nn.Linear(1, 1), Told()
    history = fit(
        model, line(), line(7), progress=told, epochs=200, patience=200, learning_rate=0.1
    )
    assert history.stop == "epochs"
    assert score(predict(model, line().inputs), line().targets) < 1e-6
    assert told.total == told.steps == 200 * 4
    assert tuple(told.epochs) == history.epochs
    assert not model.training


def test_the_weights_of_the_best_epoch_are_kept() -> None:
    torch.manual_seed(0)
    model = nn.Linear(1, 1)
    # The validation rows are an early point on the way from here to the line: loss falls, rises.
    away = Rows(line().inputs, 0.6 * predict(model, line().inputs) + 0.4 * line().targets)
    history = fit(model, line(), away, epochs=60, learning_rate=0.1, patience=5)
    assert history.stop == "patience"
    assert len(history.epochs) == history.best.number + 5
    assert history.best == min(history.epochs, key=lambda epoch: epoch.validation_loss)
    assert score(predict(model, away.inputs), away.targets) == history.best.validation_score


def test_without_validation_rows_the_training_loss_decides() -> None:
    history = fit(nn.Linear(1, 1), line())
    assert all(math.isnan(epoch.validation_loss) for epoch in history.epochs)
    assert history.best == min(history.epochs, key=lambda epoch: epoch.loss)


def test_ctrl_c_keeps_the_best_epoch_so_far() -> None:
    torch.manual_seed(0)
    model = nn.Linear(1, 1)
    history = fit(model, line(), line(7), progress=Told(ctrl_c_at=4 * 3 + 2))
    assert history.stop == "interrupted"
    assert len(history.epochs) == 3
    assert score(predict(model, line(7).inputs), line(7).targets) == history.best.validation_score


def test_ctrl_c_before_the_first_epoch_leaves_nothing_to_keep() -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(nn.Linear(1, 1), line(), progress=Told(ctrl_c_at=2))


def test_a_loss_that_is_not_finite_ends_the_training() -> None:
    broken = Rows(line().inputs, line().targets.clone())
    broken.targets[5] = torch.nan
    history = fit(nn.Linear(1, 1), broken)
    assert history.stop == "diverged"
    assert len(history.epochs) == 1


def test_a_loss_that_stops_being_finite_keeps_the_best_epoch() -> None:
    class Breaks(Told):
        def epoch(self, epoch: Epoch) -> None:
            if epoch.number == 2:
                torch.nn.init.constant_(model.weight, torch.nan)

    torch.manual_seed(0)
    model = nn.Linear(1, 1)
    history = fit(model, line(), line(7), progress=Breaks())
    assert (history.stop, len(history.epochs), history.best.number) == ("diverged", 3, 2)
    assert torch.isfinite(model.weight).all()


def test_no_mini_batch_is_a_single_row() -> None:
    """Batch normalization could not take its variance."""
    model = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    assert fit(model, line(33), batch_size=16, epochs=1).stop == "epochs"


def test_predict_does_not_depend_on_the_batch() -> None:
    model = nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.5))
    inputs = line(64).inputs
    assert torch.equal(predict(model, inputs, batch_size=7), predict(model, inputs))


@pytest.mark.parametrize("name", ["epochs", "batch_size", "learning_rate", "patience"])
@pytest.mark.parametrize("value", [0, -1, math.nan, "big", True, None])
def test_options_must_be_positive(name: str, value: object) -> None:
    if name == "batch_size" and value is None:
        return
    with pytest.raises(ArgumentError, match=f"{name} must be .*; {value!r} came. Try {name}="):
        Options(**{**vars(OPTIONS), name: value})


@pytest.mark.parametrize("name", ["epochs", "batch_size", "patience"])
def test_counts_are_whole(name: str) -> None:
    with pytest.raises(ArgumentError, match=f"{name} must be a whole number.*; 1.5 came"):
        Options(**{**vars(OPTIONS), name: 1.5})


def test_a_learning_rate_above_1_is_told() -> None:
    with pytest.raises(ArgumentError, match=r"in \(0, 1\]; 3 came"):
        Options(**{**vars(OPTIONS), "learning_rate": 3})


def test_weight_decay_may_be_0() -> None:
    with pytest.raises(ArgumentError, match=r"weight_decay must be a number in \[0, 1\]; -1 came"):
        Options(**{**vars(OPTIONS), "weight_decay": -1})


@pytest.mark.parametrize(("rows", "batch"), [(10, 16), (1_000, 31), (100_000, 256)])
def test_the_batch_goes_by_the_rows(rows: int, batch: int) -> None:
    assert Options(**{**vars(OPTIONS), "batch_size": None}).batch_rows(rows) == batch
