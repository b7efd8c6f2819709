"""From rows to a trained model."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from selfnorm.errors import ArgumentError, SelfNormError, TableError
from selfnorm.nn import MLP, SELUAlphaDropout
from selfnorm.tabular._device import torch_device
from selfnorm.tabular._fit import prepare
from selfnorm.tabular._memory import enough_memory
from selfnorm.tabular._source import Source
from selfnorm.tabular._train import drawing_from
from selfnorm.tabular.encoding._target import NumberTarget
from selfnorm.training import Shuffled
from selfnorm.training._loop import fit_section as train
from selfnorm.watch import observe
from support.statistics import assert_moments
from support.tables import fitted, settings, small_source

LONGER = {"epochs": 40, "learning_rate": 3e-3, "patience": 40}


@pytest.mark.parametrize(("task", "metric"), [("classification", "accuracy"), ("regression", "R2")])
def test_it_learns_what_the_columns_tell(task: str, metric: str) -> None:
    result = fitted(small_source(task), settings(**LONGER, test=0.3))
    assert result.metrics[metric] > 0.75
    assert result.metrics[metric] > result.baseline[metric] + 0.2
    assert len(result.before) == len(result.after) == 3


def test_orthogonal_weights_are_kept_so() -> None:
    """At a rate and depth at which LeCun-normal ones leave theorem 1's box."""
    how = settings(**LONGER, depth=24, width=48, dropout=0.0)
    kept, free = (
        fitted(small_source("classification"), replace(how, weights=kind))
        for kind in ("orthogonal", "lecun")
    )
    assert kept.settings.options.keep_orthogonal
    assert max(layer.gram_error for layer in kept.after) < 0.09
    assert max(layer.variance for layer in kept.after) < 1.5
    assert all(np.isnan(layer.gram_error) for layer in free.after)
    assert max(layer.variance for layer in free.after) > 1.5


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
    monkeypatch.setattr(NumberTarget, "loss", lambda _, outputs, *__: outputs.sum() * torch.nan)
    with pytest.raises(SelfNormError, match=r"not finite in the first epoch. Try a smaller"):
        fitted(small_source("regression"))


def test_columns_are_understood_by_all_rows_also_those_held_out() -> None:
    source = small_source("regression")
    slip = source.table.append_column("n", [["oops", *(f"{row}.5" for row in range(119))]])
    for seed in range(5):
        with pytest.raises(TableError, match=r"'n' holds numbers but for 'oops' in row 1\."):
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

    monkeypatch.setattr("selfnorm.tabular._train.observe", watch)
    fitted(source)
    assert seen[0].var(0).tolist() == pytest.approx([1] * 18, rel=0.05)
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


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB."),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:125] err == 0. DefaultCPUAllocator: can't allocate "
            "memory: you tried to allocate 400000000000000 bytes. Error code 12"
        ),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory: you "
            "tried to allocate 400000000000000 bytes."
        ),
    ],
)
def test_what_lack_of_memory_is(error: Exception) -> None:
    with pytest.raises(SelfNormError, match="must fit into memory"), enough_memory():
        raise error


@pytest.mark.parametrize(
    "message",
    [
        "CUDA error: an illegal memory access was encountered",
        "unsupported memory format option Preserve",
        "required rank 4 tensor to use channels_last memory format",
        "unsupported operation: more than one element refers to a single memory location",
    ],
)
def test_other_errors_that_speak_of_memory_stay_what_they_are(message: str) -> None:
    with pytest.raises(RuntimeError, match=message), enough_memory():
        raise RuntimeError(message)


def test_initial_variances_are_what_theory_says() -> None:
    wide = settings(width=512, depth=2, dropout=0.0)
    assert 0.8 < fitted(small_source("classification"), wide).before[1].variance < 1.25


def test_the_first_predictions_of_a_number_are_its_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs: list[torch.Tensor] = []

    def watch(network: torch.nn.Module, batches: Shuffled, *rest: object, **more: object):
        outputs.append(network(batches.rows.inputs))
        return train(network, batches, *rest, **more)

    monkeypatch.setattr("selfnorm.tabular._train.train", watch)
    fitted(small_source("regression"))
    assert not outputs[0].any()


def test_hidden_layers_and_those_of_classes_start_lecun_normal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start: dict[str, torch.Tensor] = {}

    def watch(network: torch.nn.Module, *rest: object, **more: object):
        start.update({name: p.detach().clone() for name, p in network.named_parameters()})
        return train(network, *rest, **more)

    monkeypatch.setattr("selfnorm.tabular._train.train", watch)
    for task in ("regression", "classification"):
        fitted(small_source(task), settings(width=256, epochs=1))
        output = start["output.weight"]
        assert output.any() == (task == "classification")
        hidden = [w for name, w in start.items() if w.ndim == 2 and name != "output.weight"]
        for weight in [*hidden, *([output] if task == "classification" else [])]:
            assert_moments(weight * weight.shape[1] ** 0.5)


def weights(source: Source, seed: int) -> dict[str, torch.Tensor]:
    """The trained weights, with dropout, a seed's order of rows and held-out rows."""
    return fitted(source, settings(seed=seed, dropout=0.2)).model.network.state_dict()


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_seed_alone_decides(task: str) -> None:
    """Whatever torch's own generator has been used for meanwhile."""
    first = weights(small_source(task), 1)
    torch.manual_seed(99)
    assert_same(weights(small_source(task), 1), first)
    other = weights(small_source(task), 2)
    assert not any(torch.equal(other[name], first[name]) for name in first)


def test_trainings_side_by_side_are_those_alone() -> None:
    """Two at once in threads: the same bits, and torch's generator and threads as they were."""
    sources = [small_source("classification"), small_source("regression")]
    before, state = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(3)
    try:
        alone = [weights(source, seed) for seed, source in enumerate(sources)]
        with ThreadPoolExecutor(2) as pool:
            for _ in range(3):
                together = pool.map(weights, sources, range(2))
                for one, other in zip(alone, together, strict=True):
                    assert_same(one, other)
            assert pool.submit(torch.get_num_threads).result() == 3
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert torch.equal(torch.get_rng_state(), state)


def test_dropout_draws_from_a_generator_of_its_own_and_only_inside() -> None:
    network = MLP(2, 1, width=8, depth=3, dropout=0.3).train()
    dropouts = [m for m in network.modules() if isinstance(m, SELUAlphaDropout)]
    inputs, state = torch.ones(4, 2), torch.get_rng_state()

    def drawn(seed: int) -> torch.Tensor:
        with drawing_from(network, torch.Generator().manual_seed(seed)):
            assert len({m.generator for m in dropouts} - {None}) == 1
            return network(inputs).detach()

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert [m.generator for m in dropouts] == [None] * len(dropouts)
    with pytest.raises(KeyboardInterrupt), drawing_from(network, torch.Generator()):
        raise KeyboardInterrupt
    assert [m.generator for m in dropouts] == [None] * len(dropouts)


def test_the_same_seed_writes_the_same_weights(tmp_path: Path) -> None:
    for name in ("one", "other"):
        fitted(small_source("classification"), settings(seed=3)).save(tmp_path / name)
    one, other = (tmp_path / name / "model.safetensors" for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()
