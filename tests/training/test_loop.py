"""The training loop: it learns, keeps the best epoch, and can be stopped."""

import copy
import math

import pytest
import torch
from torch import nn

from selfnorm import training
from selfnorm.errors import ArgumentError
from selfnorm.training import Epoch, Options, Progress, Rows, Shuffled
from selfnorm.training._predict import predict
from support.compare import assert_close

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


@pytest.mark.parametrize("rate", [3, 10**400, -(10**400), float("nan")], ids=lambda r: f"{r}"[:4])
def test_a_learning_rate_outside_is_told(rate: float) -> None:
    with pytest.raises(ArgumentError, match=rf"in \(0, 1\]; (int )?{str(rate)[:9]}"):
        Options(**{**vars(OPTIONS), "learning_rate": rate})


def test_weight_decay_may_be_0() -> None:
    with pytest.raises(ArgumentError, match=r"weight_decay must be a number in \[0, 1\]; -1 came"):
        Options(**{**vars(OPTIONS), "weight_decay": -1})


@pytest.mark.parametrize(("rows", "batch"), [(10, 16), (1_000, 31), (100_000, 256)])
def test_the_batch_goes_by_the_rows(rows: int, batch: int) -> None:
    assert Options(**{**vars(OPTIONS), "batch_size": None}).batch_rows(rows) == batch


def by_hand(
    model: nn.Module, rows: Rows, options: Options, generator: torch.Generator
) -> list[dict[str, torch.Tensor]]:
    """The training as torch's own parts: the weights after each epoch."""
    steps = math.ceil(len(rows) / options.batch_rows(len(rows)))
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=options.learning_rate,
        weight_decay=options.weight_decay,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.epochs * steps)
    kept: list[dict[str, torch.Tensor]] = []
    for _ in range(options.epochs):
        for numbers in torch.randperm(len(rows), generator=generator).tensor_split(steps):
            optimizer.zero_grad()
            nn.functional.mse_loss(model(rows.inputs[numbers]), rows.targets[numbers]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        kept.append(copy.deepcopy(model.state_dict()))
    return kept


@pytest.mark.parametrize("scale", [0.01, 1000])
def test_a_training_is_torchs_own_parts(scale: float) -> None:
    """To rounding; targets are so small that few gradients are clipped, or large: all are."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.SELU(), nn.Linear(8, 1))
    like = copy.deepcopy(model)
    inputs = torch.randn(22, 3)
    rows = Rows(inputs, scale * inputs.sum(1, keepdim=True))
    options = Options(epochs=4, batch_size=5, learning_rate=0.02, weight_decay=0.1)
    history = training.fit(
        model,
        Shuffled(rows, 5),
        loss=nn.functional.mse_loss,
        options=options,
        generator=torch.Generator().manual_seed(4),
    )
    expected = by_hand(like, rows, options, torch.Generator().manual_seed(4))
    for name, value in model.state_dict().items():
        # 20 steps of .02, each of which may round the norm, the clipped gradient, and its average.
        assert_close(
            value, expected[history.best.number - 1][name], 60 * torch.finfo(torch.float32).eps
        )


def test_the_order_comes_from_the_given_generator_alone() -> None:
    def trained(seed: int) -> torch.Tensor:
        torch.manual_seed(0)
        model, state = nn.Linear(1, 1), torch.get_rng_state()
        training.fit(
            model,
            Shuffled(line(), 16),
            loss=nn.functional.mse_loss,
            options=Options(epochs=2),
            generator=torch.Generator().manual_seed(seed),
        )
        assert torch.equal(torch.get_rng_state(), state)
        return model.weight.detach()

    assert torch.equal(trained(1), trained(1))
    assert not torch.equal(trained(1), trained(2))


class Scripted:
    """A loss with given values: of the mini-batches, and of the validation rows."""

    def __init__(self, training: list[float], validation: list[float]) -> None:
        self.training, self.validation = iter(training), iter(validation)

    def __call__(self, outputs: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        if outputs.requires_grad:
            return next(self.training) + outputs.sum() - outputs.sum().detach()
        return torch.tensor(next(self.validation))


class Listening(Progress):
    """Writes down what it is told, with the weight there is then."""

    def __init__(self, model: nn.Linear) -> None:
        self.model, self.told, self.weights = model, [], []

    def start(self, steps: int) -> None:
        self.told.append(f"start {steps}")

    def step(self) -> None:
        self.told.append("step")

    def epoch(self, epoch: Epoch) -> None:
        self.told.append(f"epoch {epoch.number}")
        self.weights.append(self.model.weight.detach().clone())


def scripted(
    training_losses: list[float], validation_losses: list[float] | None, **changes: object
) -> tuple[training.History, nn.Linear, Listening]:
    """A training of one mini-batch an epoch that meets these losses."""
    model = nn.Linear(1, 1)
    listening = Listening(model)
    history = training.fit(
        model,
        Shuffled(line(), 64),
        None if validation_losses is None else line(7),
        loss=Scripted(training_losses, validation_losses or []),
        options=Options(**{"epochs": len(training_losses), "learning_rate": 0.1, **changes}),
        progress=listening,
    )
    return history, model, listening


def test_the_validation_loss_decides_and_patience_counts_from_the_best() -> None:
    history, model, listening = scripted(
        [9.0, 8, 7, 6, 5, 4, 3, 2, 1, 0], [5.0, 4, 4, 6, 3, 3, 7, 8, 1, 1], patience=3
    )
    assert (history.stop, history.best.number, len(history.epochs)) == ("patience", 5, 8)
    assert [epoch.validation_loss for epoch in history.epochs] == [5, 4, 4, 6, 3, 3, 7, 8]
    losses = [epoch.loss for epoch in history.epochs]  # a mean over rows, which float32 rounds
    assert losses == pytest.approx([9, 8, 7, 6, 5, 4, 3, 2], rel=1e-6)
    assert torch.equal(model.weight, listening.weights[4])
    assert len({weight.item() for weight in listening.weights}) == 8


def test_without_validation_rows_the_training_loss_decides_and_patience_counts() -> None:
    history, model, listening = scripted([5.0, 2, 3, 4, 1, 0], None, patience=2)
    assert (history.stop, history.best.number, len(history.epochs)) == ("patience", 2, 4)
    assert torch.equal(model.weight, listening.weights[1])
    assert all(
        math.isnan(epoch.validation_loss) and math.isnan(epoch.validation_score)
        for epoch in history.epochs
    )


def test_no_epoch_begins_when_the_time_is_up() -> None:
    rows = Rows(torch.randn(32, 4), torch.randn(32, 1))
    for limit, epochs, stop in ((1e-9, 1, "time"), (3600.0, 3, "epochs"), (None, 3, "epochs")):
        history = training.fit(
            torch.nn.Linear(4, 1),
            Shuffled(rows, 16),
            loss=torch.nn.functional.mse_loss,
            options=Options(epochs=3, time_limit=limit),
        )
        assert (len(history.epochs), history.stop) == (epochs, stop)
    with pytest.raises(ArgumentError, match="time_limit must be a number"):
        Options(time_limit=0)


def test_a_validation_loss_that_is_never_finite_keeps_the_start_until_patience_ends() -> None:
    history, _, listening = scripted([3.0, 2, 1, 0], [math.nan] * 4, patience=3)
    assert (history.stop, history.best.number, len(history.epochs)) == ("patience", 1, 3)
    assert listening.told[-1] == "epoch 3"


def test_without_a_score_the_validation_loss_is_the_score() -> None:
    history, _, _ = scripted([2.0, 1], [4.0, 3])
    assert [epoch.validation_score for epoch in history.epochs] == [4, 3]


def test_progress_is_told_in_order() -> None:
    model = nn.Linear(1, 1)
    listening = Listening(model)
    fit(model, line(10), progress=listening, epochs=2, batch_size=4)
    one = ["step"] * 3
    assert listening.told == ["start 6", *one, "epoch 1", *one, "epoch 2"]


def test_a_diverged_epoch_is_told_and_is_the_last() -> None:
    history, model, listening = scripted([2.0, math.inf, 1], None)
    assert (history.stop, history.best.number) == ("diverged", 1)
    assert listening.told == ["start 3", "step", "epoch 1", "step", "epoch 2"]
    assert torch.equal(model.weight, listening.weights[0])
    assert not model.training


def test_the_loss_of_an_epoch_is_the_mean_of_its_rows() -> None:
    """Seven rows in batches of 3, 2 and 2: the mean of the batches' means is another number."""
    rows = Rows(torch.zeros(7, 1), torch.tensor([0.0, 6, 12, 18, 24, 30, 120])[:, None])
    history = training.fit(
        nn.Linear(1, 1),
        Shuffled(rows, 3),
        loss=lambda outputs, targets: targets.mean() + 0 * outputs.sum(),
        options=Options(epochs=3),
        generator=torch.Generator().manual_seed(0),
    )
    assert [epoch.loss for epoch in history.epochs] == [30, 30, 30]


def test_it_trains_in_training_mode_and_validates_and_ends_in_eval_mode() -> None:
    model = nn.Sequential(nn.Linear(1, 1))
    modes: list[bool] = []
    model.register_forward_hook(lambda module, *_: modes.append(module.training))
    fit(model, line(32), line(7), epochs=2)
    assert modes == [True, True, False, True, True, False]
    assert not any(module.training for module in model.modules())


def test_ctrl_c_leaves_the_model_in_eval_mode() -> None:
    model = nn.Linear(1, 1)
    fit(model, line(), progress=Told(ctrl_c_at=6))
    assert not model.training
