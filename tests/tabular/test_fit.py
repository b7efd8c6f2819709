"""From rows to a trained model, and the networks side by side."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from selfnorm.errors import ArgumentError, SelfNormError, TableError
from selfnorm.tabular import (
    CONTENDERS,
    Architecture,
    Options,
    compare,
    fit_model,
    measure_model,
    prepare,
)
from selfnorm.tabular._fit import torch_device
from selfnorm.tabular._target import NumberTarget
from selfnorm.tabular._train import SILENT
from support.tables import fitted, settings, small_source

LONGER = Options(epochs=40, batch_size=16, learning_rate=3e-3, weight_decay=0, patience=40)


@pytest.mark.parametrize(("task", "metric"), [("classification", "accuracy"), ("regression", "R2")])
def test_it_learns_what_the_columns_tell(task: str, metric: str) -> None:
    source = small_source(task)
    how = settings(options=LONGER, test=0.3)
    ready = prepare(source, how)
    model, trained = fit_model(ready, how)
    found, baseline = measure_model(model, ready.test)
    assert found[metric] > 0.75
    assert found[metric] > baseline[metric] + 0.2
    assert len(trained.before) == len(trained.after) == 3


def test_training_leaves_torchs_random_numbers_alone() -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    fitted(small_source("classification"))
    assert torch.equal(torch.get_rng_state(), state)


def test_the_encoding_is_learned_from_training_rows_alone() -> None:
    source = small_source("regression")
    ready = prepare(source, settings(validation=0.5))
    means = ready.training.inputs.double().mean(0)
    assert means.abs().max() < 1e-6
    assert ready.validation is not None
    assert ready.validation.inputs.double().mean(0).abs().max() > 1e-3


def test_a_loss_that_is_never_finite_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NumberTarget, "loss", lambda _, outputs, __: outputs.sum() * torch.nan)
    with pytest.raises(SelfNormError, match=r"not finite in the first epoch. Try a smaller"):
        fitted(small_source("regression"))


def test_columns_are_understood_by_all_rows_also_those_held_out() -> None:
    source = small_source("regression")
    slip = source.table.append_column("n", [["oops", *map(str, range(119))]])
    for seed in range(5):
        with pytest.raises(TableError, match=r"text such as 'oops' in row 1\."):
            prepare(replace(source, table=slip), settings(seed=seed, test=0.5))


def test_devices_are_checked() -> None:
    assert torch_device("cpu").type == "cpu"
    assert torch_device("auto").type in ("cpu", "cuda")
    for name in ("cuda:99", "abacus"):
        with pytest.raises(ArgumentError, match=f"'{name}' is not. Give 'cpu' or 'auto'"):
            torch_device(name)


def test_four_networks_are_compared_on_the_same_rows_for_the_same_epochs() -> None:
    source = small_source("classification")
    how = settings()
    ready = prepare(source, how)
    names: list[str] = []
    contests = list(compare(ready, how, lambda name: names.append(name) or SILENT))
    assert names == [contender.name for contender in CONTENDERS]
    for contest in contests:
        assert len(contest.trained.history.epochs) == how.options.epochs
        assert len(contest.trained.before) == how.architecture.depth
        assert measure_model(contest.model, source)[0]["accuracy"] > 0
    linear = [m for m in contests[2].model.network if isinstance(m, torch.nn.BatchNorm1d)]
    assert len(linear) == how.architecture.depth


def test_initial_variances_are_what_theory_says() -> None:
    """LeCun holds 1; He doubles E[x^2]/2, so a ReLU layer's second moment stays: variance .68."""
    source = small_source("classification")
    wide = settings(architecture=Architecture(512, 2, "rectangular", 0.0))
    ready = prepare(source, wide)
    contests = {c.contender.name: c.trained for c in compare(ready, wide, lambda _: SILENT)}
    assert 0.8 < contests["SELU + LeCun"].before[1].variance < 1.25
    # relu(z), z ~ N(0, 2): mean 1/sqrt(pi), second moment 1, variance 1 - 1/pi.
    assert contests["ReLU + He"].before[0].variance == pytest.approx(1 - 1 / np.pi, rel=0.25)
    # relu(z), z ~ N(0, 1) by normalization: variance (1 - 1/pi) / 2.
    found = contests["ReLU + He + BatchNorm"].before[0].variance
    assert found == pytest.approx((1 - 1 / np.pi) / 2, rel=0.15)
