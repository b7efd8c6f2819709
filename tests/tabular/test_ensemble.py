"""Several networks trained as one: whose rows are whose, what they say, and their folder."""

from pathlib import Path

import numpy as np
import pytest
import torch

from selfnorm.errors import ArgumentError
from selfnorm.tabular import SelfNormClassifier, SelfNormRegressor, load_model
from selfnorm.tabular._ensemble import Ensemble, Judged
from selfnorm.tabular._fit import prepare
from selfnorm.tabular.data._split import deal
from selfnorm.training import Folded, Rows
from support.tables import fitted, settings, small_source

TASKS = ("classification", "regression")


def test_rows_are_dealt_evenly_and_classes_by_their_shares() -> None:
    values = np.array(["a"] * 40 + ["b"] * 21 + ["c"] * 2)
    left_out = deal(values, 3, task="classification", seed=0)
    assert (left_out.sum(1) == 1).all()
    assert left_out.sum(0).tolist() == [21, 21, 21]
    for label, least in (("a", 13), ("b", 7)):
        counts = left_out[values == label].sum(0)
        assert counts.min() >= least
        assert counts.max() <= least + 1
    assert (deal(values, 3, task="classification", seed=1) != left_out).any()
    assert (deal(values, 3, task="classification", seed=0) == left_out).all()
    numbers = np.arange(10.0)
    assert sorted(deal(numbers, 3, task="regression", seed=0).sum(0)) == [3, 3, 4]


def test_two_of_many_members_leave_out_each_row() -> None:
    numbers = np.arange(16.0)
    left_out = deal(numbers, 8, task="regression", seed=0)
    assert (left_out.sum(1) == 2).all()
    assert (left_out.sum(0) == 4).all()
    alone = left_out & ~np.roll(left_out, 1, axis=1)
    assert (alone.sum(1) == 1).all()  # each by two neighbors
    many = deal(np.arange(20_000.0), 8, task="regression", seed=0)
    assert many.any(1).all()
    assert (many.sum(1) == 2).sum() == 2000
    assert np.ptp(many.sum(0)) <= 1
    few = deal(numbers[:5], 8, task="regression", seed=0)
    assert (few.sum(1) == 1).all()  # nobody is left with nothing to learn from
    assert (few.sum(0) <= 1).all()


@pytest.mark.parametrize("size", [4, 7, 100])
def test_no_member_learns_from_what_it_left_out(size: int) -> None:
    numbers = torch.arange(23)
    left_out = (numbers % 3)[:, None] == torch.arange(3)
    batches = Folded(Rows(numbers[:, None].float(), numbers), left_out, 3, size)
    seen: list[list[int]] = [[], [], []]
    steps = 0
    for batch in batches.epoch(torch.Generator().manual_seed(0)):
        steps += 1
        assert batch.inputs.shape == (len(batch), 3, 1)
        assert torch.equal(batch.inputs[..., 0], batch.targets.float())
        assert len(batch) <= batches.largest
        for member in range(3):
            seen[member] += batch.targets[:, member].tolist()
    assert steps == batches.steps
    for member, rows in enumerate(seen):
        assert len(rows) == len(set(rows)) == 15  # of 15 or 16
        assert not {row for row in rows if row % 3 == member}
    assert seen[0] != sorted(seen[0])
    everything = Folded(batches.rows, None, 2, 23)
    (batch,) = everything.epoch(None)
    assert sorted(batch.targets[:, 0].tolist()) == numbers.tolist()
    assert not torch.equal(batch.targets[:, 0], batch.targets[:, 1])


@pytest.mark.parametrize("members", [3, 4])
@pytest.mark.parametrize("task", TASKS)
def test_a_row_is_judged_by_who_left_it_out(task: str, members: int) -> None:
    ready = prepare(small_source(task), settings(n_estimators=members))
    target = ready.target
    assert ready.left_out is not None
    assert ready.validation is ready.training
    judge = Judged(target, ready.left_out)
    targets = ready.training.targets
    outputs = 3 * torch.randn(len(targets), members, target.outputs)
    own = torch.stack(
        [target.said(outputs[row, who]).mean(0) for row, who in enumerate(ready.left_out)]
    )
    own = target.heard(own)
    assert judge.score(outputs, targets) == pytest.approx(target.score(own, targets))
    found = float(judge.loss(outputs, targets))
    if task == "regression":
        assert found == pytest.approx(float(target.loss(own, targets)))
    else:
        tried = [float(target.loss(own * factor, targets)) for factor in np.geomspace(0.05, 20, 99)]
        assert found == pytest.approx(min(tried), rel=1e-3)
    each = [target.loss(outputs[:, member], targets) for member in range(members)]
    together = judge.loss(outputs, targets[:, None].expand(-1, members, *targets.shape[1:]))
    assert float(together) == pytest.approx(float(sum(each)) / members, rel=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_it_says_the_mean_of_its_networks(task: str) -> None:
    source = small_source(task)
    result = fitted(source, settings(n_estimators=3, infinite=False))
    network = result.model.network
    assert result.model.blend is not None
    assert result.model.blend.weights == pytest.approx([1 / 3] * 3)
    assert isinstance(network, Ensemble)
    assert [layer.layer for layer in result.after] == ["selu1", "selu2", "selu3"]
    inputs = torch.from_numpy(result.model.encoder.transform(source.table)).double()
    alone = [
        result.model.target.decode(network.network.member(k).eval().double()(inputs))
        for k in range(3)
    ]
    found = result.model.predict(source.table)
    if task == "regression":
        expected = np.mean([one.values for one in alone], axis=0)
        np.testing.assert_allclose(found.values, expected, rtol=1e-9)
        assert not np.allclose(alone[0].values, alone[1].values)
    else:
        expected = np.mean([one.probabilities for one in alone], axis=0)
        expected **= result.model.blend.sharpness
        expected /= expected.sum(1, keepdims=True)
        np.testing.assert_allclose(found.probabilities, expected, rtol=1e-9)


@pytest.mark.parametrize("kind", [SelfNormClassifier, SelfNormRegressor])
def test_a_folder_holds_all_of_them(kind: type, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 4))
    y = x[:, 0] + x[:, 1] * x[:, 2]
    y = (y > 0).astype(int) if kind is SelfNormClassifier else y
    how = {"depth": 2, "width": 8, "epochs": 3, "random_state": 0}
    sizes = []
    for count in (1, 4):
        model = kind(n_estimators=count, infinite=False, **how).fit(x, y)
        folder = tmp_path / f"m{count}"
        model.save(folder)
        again = kind.load(folder)
        assert again.get_params()["n_estimators"] == count
        np.testing.assert_array_equal(again.predict(x), model.predict(x))
        sizes.append((folder / "model.safetensors").stat().st_size)
        assert load_model(folder).architecture.n_estimators == count
    assert sizes[1] < 4 * sizes[0]


def test_without_validation_all_learn_from_all() -> None:
    result = fitted(small_source("classification"), settings(n_estimators=2, validation=0.0))
    assert all(np.isnan(epoch.validation_loss) for epoch in result.history.epochs)


def test_the_same_seed_gives_the_same_networks() -> None:
    found = [
        fitted(small_source("regression"), settings(n_estimators=2, seed=seed)).model.network
        for seed in (1, 1, 2)
    ]
    states = [[value.clone() for value in one.state_dict().values()] for one in found]
    assert all(torch.equal(a, b) for a, b in zip(states[0], states[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(states[0], states[2], strict=True))


def test_kept_orthogonal_each_for_itself() -> None:
    result = fitted(
        small_source("classification"),
        settings(n_estimators=3, weights="orthogonal", learning_rate=1e-2, epochs=10),
    )
    for layer in (result.model.network.network.linear2,):
        for weight in layer.weight.detach():
            gram = weight.T @ weight
            assert torch.linalg.matrix_norm(gram - torch.eye(len(gram)), 2) < 0.3


def test_more_networks_than_rows_leave_out_what_there_is() -> None:
    model = SelfNormRegressor(n_estimators=5, epochs=2, width=4).fit(np.eye(4), np.arange(4.0))
    assert np.isfinite(model.predict(np.eye(4))).all()
    with pytest.raises(ArgumentError, match="n_estimators must be a whole number, 1 or more"):
        SelfNormRegressor(n_estimators=0).fit(np.eye(4), np.arange(4.0))
