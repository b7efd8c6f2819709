"""From rows to a trained model."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from selfnorm.errors import ArgumentError, SelfNormError, TableError
from selfnorm.tabular._device import torch_device
from selfnorm.tabular._fit import prepare
from selfnorm.tabular._source import Source
from selfnorm.tabular.encoding._target import NumberTarget
from selfnorm.training import Shuffled
from selfnorm.training import fit as train
from selfnorm.watch import observe
from support.tables import fitted, settings, small_source

LONGER = {"epochs": 40, "learning_rate": 3e-3, "patience": 40}


@pytest.mark.parametrize(("task", "metric"), [("classification", "accuracy"), ("regression", "R2")])
def test_it_learns_what_the_columns_tell(task: str, metric: str) -> None:
    result = fitted(small_source(task), settings(**LONGER, test=0.3))
    assert result.metrics[metric] > 0.75
    assert result.metrics[metric] > result.baseline[metric] + 0.2
    assert len(result.before) == len(result.after) == 3


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


def test_the_layers_are_watched_on_rows_from_all_over_the_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A table may be sorted: its first rows have another variance than all of them."""
    values = np.linspace(-1, 1, 4000)
    source = Source(pa.table({"a": values, "b": values**3}), values, "y", "regression", 0)
    seen: list[torch.Tensor] = []

    def watch(network: torch.nn.Module, inputs: torch.Tensor, **more: object):
        seen.append(inputs)
        return observe(network, inputs, **more)

    monkeypatch.setattr("selfnorm.tabular._fit.observe", watch)
    fitted(source)
    assert seen[0].var(0).tolist() == pytest.approx([1, 1], rel=0.05)
    assert len(seen[0]) <= 1024


def test_holding_out_nearly_all_rows_is_told() -> None:
    with pytest.raises(ArgumentError, match=r"Training needs 2 rows or more; of 120, 119"):
        prepare(small_source("regression"), settings(test=0.99, validation=0.0))


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_is_a_32_bit_number(seed: int) -> None:
    with pytest.raises(
        ArgumentError, match=rf"seed must be a whole number, 0 or more, .*; {seed} came"
    ):
        settings(seed=seed)


def test_a_network_beyond_memory_is_told() -> None:
    source = small_source("regression")
    how = settings(width=10**7, depth=2, dropout=0.0)
    with pytest.raises(SelfNormError, match=r"must fit into memory; they do not"):
        fitted(source, how)


def test_initial_variances_are_what_theory_says() -> None:
    wide = settings(width=512, depth=2, dropout=0.0)
    assert 0.8 < fitted(small_source("classification"), wide).before[1].variance < 1.25


def test_the_first_predictions_of_a_number_are_its_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs: list[torch.Tensor] = []

    def watch(network: torch.nn.Module, batches: Shuffled, *rest: object, **more: object):
        outputs.append(network(batches.rows.inputs))
        return train(network, batches, *rest, **more)

    monkeypatch.setattr("selfnorm.tabular._fit.train", watch)
    fitted(small_source("regression"))
    assert not outputs[0].any()
