"""From rows to a trained model, and the networks side by side."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from selfnorm.errors import ArgumentError, SelfNormError, TableError
from selfnorm.tabular import (
    CONTENDERS,
    Architecture,
    Options,
    Prepared,
    Source,
    Trained,
    compare,
    fit_model,
    measure_model,
    prepare,
)
from selfnorm.tabular._fit import torch_device, train_network
from selfnorm.tabular._target import NumberTarget
from selfnorm.tabular._train import SILENT, Progress
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
    for name in ("cuda:99", "meta", "abacus"):
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


class CtrlC(Progress):
    """Presses Ctrl-C in the second network, before or after its first epoch."""

    def __init__(self, name: str, after: int) -> None:
        self.left = after if name == CONTENDERS[1].name else None

    def step(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt


@pytest.mark.parametrize(("steps", "kept"), [(1, 1), (10, 2)])
def test_ctrl_c_keeps_the_networks_that_are_trained(steps: int, kept: int) -> None:
    how = settings()
    ready = prepare(small_source("classification"), how)
    contests = compare(ready, how, lambda name: CtrlC(name, steps))
    assert [contest.contender for contest in contests] == list(CONTENDERS[:kept])


def test_all_networks_have_the_same_shape() -> None:
    how = settings(architecture=Architecture(16, 3, "conic", 0.1))
    ready = prepare(small_source("classification"), how)
    sizes = {
        contest.contender.name: [
            layer.out_features
            for layer in contest.model.network
            if isinstance(layer, torch.nn.Linear)
        ]
        for contest in compare(ready, how, lambda _: SILENT)
    }
    assert set(map(tuple, sizes.values())) == {(16, 8, 4, 2)}


def test_a_comparison_needs_batches_and_rows_to_compare_on() -> None:
    source = small_source("classification")
    single = settings(options=replace(settings().options, batch_size=1))
    with pytest.raises(ArgumentError, match=r"mini-batches of two rows or more"):
        compare(prepare(source, single), single, lambda _: SILENT)
    alone = settings(validation=0.0)
    with pytest.raises(ArgumentError, match=r"needs held-out rows"):
        compare(prepare(source, alone), alone, lambda _: SILENT)


def test_the_layers_are_watched_on_rows_from_all_over_the_table() -> None:
    """A table may be sorted: its first rows have another variance than all of them."""
    values = np.linspace(-1, 1, 4000)
    source = Source(pa.table({"a": values, "b": values**3}), values, "y", "regression", 0)
    ready = prepare(source, settings())
    seen: list[torch.Tensor] = []
    network = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.ReLU())
    network[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    train_network(network, ready, (torch.nn.ReLU,), settings().options)
    assert seen[0].var(0).tolist() == pytest.approx([1, 1], rel=0.05)
    assert len(seen[0]) <= 1024


def test_holding_out_nearly_all_rows_is_told() -> None:
    with pytest.raises(ArgumentError, match=r"Training needs 2 rows or more; of 120, 119"):
        prepare(small_source("regression"), settings(test=0.99, validation=0.0))


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_is_a_32_bit_number(seed: int) -> None:
    with pytest.raises(ArgumentError, match=rf"seed must be in .*; {seed} came"):
        settings(seed=seed)


def test_a_network_beyond_memory_is_told() -> None:
    source = small_source("regression")
    how = settings(architecture=Architecture(10**7, 2, "rectangular", 0.0))
    with pytest.raises(SelfNormError, match=r"must fit into memory; they do not"):
        fitted(source, how)


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


def test_the_first_predictions_of_a_number_are_its_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs: list[torch.Tensor] = []

    def watch(network: torch.nn.Module, ready: Prepared, *_: object, **__: object) -> Trained:
        outputs.append(network(ready.training.inputs))
        return train_network(network, ready, (), settings().options)

    monkeypatch.setattr("selfnorm.tabular._fit.train_network", watch)
    fitted(small_source("regression"))
    assert not outputs[0].any()
