"""Several networks trained as one: whose rows are whose, what they say, and their folder."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from selfnorm.errors import ArgumentError
from selfnorm.tabular import (
    SelfNormClassifier,
    SelfNormRegressor,
    Settings,
    _train,
    fit,
    load_model,
)
from selfnorm.tabular._ensemble import Ensemble, Judged
from selfnorm.tabular._fit import prepare
from selfnorm.tabular.data._split import deal
from selfnorm.training import Folded, History, Rows
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
    most = 2 if task == "regression" else 20
    tried = [float(target.loss(own * factor, targets)) for factor in np.geomspace(0.05, most, 99)]
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
    outputs = [network.networks[0].member(k).eval().double()(inputs) for k in range(3)]
    alone = [result.model.target.decode(one) for one in outputs]
    found = result.model.predict(source.table)
    if task == "regression":
        expected = result.model.target.decode(torch.stack(outputs).mean(0)).values
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
        assert load_model(folder).architectures[0].n_estimators == count
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
    for layer in (result.model.finite[0].linear2,):
        for weight in layer.weight.detach():
            gram = weight.T @ weight
            assert torch.linalg.matrix_norm(gram - torch.eye(len(gram)), 2) < 0.3


def test_more_networks_than_rows_leave_out_what_there_is() -> None:
    model = SelfNormRegressor(n_estimators=5, epochs=2, width=4).fit(np.eye(4), np.arange(4.0))
    assert np.isfinite(model.predict(np.eye(4))).all()
    with pytest.raises(ArgumentError, match="n_estimators must be a whole number, 1 or more"):
        SelfNormRegressor(n_estimators=0).fit(np.eye(4), np.arange(4.0))


def test_a_preset_decides_what_nobody_chose() -> None:
    fast, best = Settings(preset="fast"), Settings(preset="best")
    assert (fast.members, fast.joins) == (4, False)
    assert (best.members, best.joins) == (16, True)
    assert Settings(preset="fast", n_estimators=2, infinite=True).joins
    assert 2 * fast.sized(320).epochs == Settings().sized(320).epochs == 30
    assert len(fast.portfolio(320)) == len(Settings().portfolio(320)) == 1
    for rows in (320, 3200):
        shapes = best.portfolio(rows)
        assert shapes[0] == best.sized(rows)
        assert {one.weights for one in shapes} == {"lecun", "orthogonal"}
        assert {one.depth for one in shapes} > {8}
        assert len({one.n_estimators for one in shapes}) == 1
        asked = replace(best, depth=2, weights="lecun", dropout=0.0, width=9).portfolio(rows)
        assert {(one.depth, one.weights, one.dropout, one.width) for one in asked} == {
            (2, "lecun", 0.0, 9)
        }
    assert len(Settings(preset="best", n_estimators=1).portfolio(320)) == 1
    with pytest.raises(ArgumentError, match="preset must be one of 'fast', 'default', 'best'"):
        Settings(preset="slow")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("task", TASKS)
def test_the_best_has_networks_of_several_shapes(task: str, tmp_path: Path) -> None:
    free = {"depth": None, "width": None, "weights": None, "learning_rate": None, "dropout": None}
    joins = task == "classification"  # of its numbers waves say all that there is to say
    how = settings(preset="best", n_estimators=4, infinite=joins, epochs=8, **free)
    source = small_source(task)
    result = fitted(source, how)
    model, blend, network = result.model, result.model.blend, result.model.network
    assert blend is not None
    assert isinstance(network, Ensemble)
    assert len(network.finite) == len(model.architectures) > 1
    assert len(blend.weights) == 4 * len(network.finite) + len(network.joined)
    assert sum(blend.weights) == pytest.approx(1)
    for mlp, shape in zip(network.finite, model.architectures, strict=True):
        assert len(list(mlp.children())) == 2 * shape.depth + 1
    # Each kind counts by itself, in the order of its weights.
    inputs = torch.from_numpy(model.encoder.transform(source.table)).double()
    each = copy.deepcopy(network).double()
    kinds = [*(one(inputs).transpose(0, 1) for one in each.finite)]
    kinds += [one(inputs)[:, None] for one in each.joined]
    said = model.target.said(torch.cat(kinds, 1))
    mixed = torch.einsum("k,rko->ro", torch.tensor(blend.weights, dtype=torch.float64), said)
    expected = model.target.decode(blend.sharpness * model.target.heard(mixed))
    found = model.predict(source.table)
    if task == "classification":
        np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=1e-9)
    else:
        np.testing.assert_allclose(found.values, expected.values, rtol=1e-9)
    result.save(tmp_path / "m")
    again = load_model(tmp_path / "m")
    assert again.architectures == model.architectures
    np.testing.assert_array_equal(again.predict(source.table).values, found.values)


def test_ctrl_c_leaves_out_the_shapes_that_have_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []

    def stopped(network: torch.nn.Module, *rest: object, **more: object) -> History:
        begun.append(1)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return train(network, *rest, **more)

    train = _train.train
    monkeypatch.setattr(_train, "train", stopped)
    free = {"depth": None, "width": None, "weights": None, "learning_rate": None, "dropout": None}
    how = settings(preset="best", n_estimators=2, epochs=2, infinite=False, **free)
    result = fitted(small_source("regression"), how)
    assert len(begun) == 2
    assert result.history.stop == "interrupted"
    assert len(result.model.finite) == 1
    begun.append(0)
    hurried = fitted(small_source("regression"), replace(how, time_limit=1e-6))
    assert len(hurried.model.finite) == 1
    assert hurried.history.stop == "time"


@pytest.mark.filterwarnings("ignore:.*looks like a leak")  # the target is a column
def test_what_the_rows_decided_is_theirs_to_decide_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 4))
    how = Settings(target="y", preset="best", n_estimators=2, infinite=False, epochs=2, test=0.0)
    frame = pa.table({**{f"x{k}": x[:, k] for k in range(4)}, "y": x[:, 0]})
    fit(frame, how).save(tmp_path / "m")
    found = SelfNormRegressor.load(tmp_path / "m").get_params()
    assert (found["preset"], found["n_estimators"], found["epochs"]) == ("best", 2, 2)
    assert (found["depth"], found["width"], found["weights"]) == (None, None, None)
