"""Infinitely wide networks: what they say of rows left out, and how all become one prediction."""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from selfnorm.errors import ModelFolderError, SelfNormWarning
from selfnorm.tabular import SelfNormClassifier, SelfNormRegressor
from selfnorm.tabular import _ridge as ridge
from selfnorm.tabular._blend import Blend
from selfnorm.tabular._ensemble import Ensemble
from selfnorm.tabular._fit import prepare
from selfnorm.tabular._infinite import fit_infinite
from selfnorm.tabular._kernel import BIAS, DEPTH, LAYERS
from selfnorm.tabular._source import Source
from selfnorm.tabular._weighing import factors, sharpness, sharpness_of_all, weigh
from selfnorm.tabular.encoding._several import NumbersTarget
from selfnorm.tabular.encoding._target import ClassTarget, NumberTarget
from selfnorm.theory import network_kernel
from support.compare import assert_same
from support.tables import fitted, settings, small_source

RNG = np.random.default_rng(0)
ROWS = 50
CLASSES = ClassTarget("y", (0, 1, 2), (0.4, 0.3, 0.3))
NUMBERS = NumberTarget("y", 0.0, 1.0)


def rows_of(task: str) -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.randn(ROWS, 4, generator=torch.Generator().manual_seed(1))
    value = inputs[:, 0] * inputs[:, 1] + inputs[:, 2]
    if task == "regression":
        return inputs, value[:, None] / value.std()
    return inputs, torch.bucketize(value, torch.tensor([-0.5, 0.5]))


def kernel_of(rows: np.ndarray) -> np.ndarray:
    """That of rows without a column of ones."""
    own = network_kernel(np.ones((1, 1)), depth=DEPTH, bias=BIAS)
    return network_kernel(rows, depth=DEPTH, bias=BIAS) / own


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_what_a_row_is_told_by_the_others_is_what_they_would_say(task: str) -> None:
    inputs, targets = rows_of(task)
    target = CLASSES if task == "classification" else NUMBERS
    reads = np.array([True, True, True, False])
    network, left_out = fit_infinite(inputs, targets, target, reads)
    shown = inputs[:, :3].double().numpy()
    ones = np.column_stack([shown, np.ones(ROWS)])
    kernel = network_kernel(ones, depth=DEPTH, bias=BIAS)
    kernel /= kernel[0, 0]
    wanted = np.eye(3)[targets.numpy()] if task == "classification" else targets.double().numpy()
    offset = wanted.mean(0)
    coefficients = network.coefficients.numpy()
    scale = network.offset.numpy() / offset  # outputs of classes are scaled to be logits
    assert scale == pytest.approx(scale[0])
    residual = wanted - offset - kernel @ coefficients / scale[0]
    penalty = (residual / (coefficients / scale[0])).mean()
    for row in (0, 17, ROWS - 1):
        others = np.delete(np.arange(ROWS), row)
        ridge = kernel[np.ix_(others, others)] + penalty * np.eye(ROWS - 1)
        said = kernel[row, others] @ np.linalg.solve(ridge, (wanted - offset)[others]) + offset
        np.testing.assert_allclose(left_out[row].numpy(), said * scale[0], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("weighted", [False, True])
def test_copies_are_learned_as_one_that_counts_more(weighted: bool) -> None:
    inputs, targets = rows_of("regression")
    rows = torch.cat([torch.arange(ROWS), torch.arange(ROWS) // 2])
    weights = torch.linspace(0.5, 2, len(rows)).double() if weighted else None
    noisy = targets[rows].double() + torch.linspace(-1, 1, len(rows))[:, None]
    learned, told = ridge.Told(noisy, noisy, weights, rows).merged(inputs[rows], rows)
    wanted, counts = told.averaged()
    kernel = torch.from_numpy(kernel_of(learned.double().numpy()))
    coefficients, left_out = ridge.solve(kernel, wanted, 0.1, counts)
    place = told.place
    assert_same(learned[place], inputs[rows])
    repeated, _ = ridge.solve(kernel[place][:, place], noisy, 0.1, weights)
    torch.testing.assert_close(kernel @ coefficients, kernel[:, place] @ repeated)
    for row in (0, 17):
        rest = torch.nonzero(rows != row)[:, 0]
        part = place[rest]
        some = None if weights is None else weights[rest]
        without, _ = ridge.solve(kernel[part][:, part], noisy[rest], 0.1, some)
        expected = kernel[place[row], part] @ without
        torch.testing.assert_close(left_out[place[row]], expected)


def test_rows_that_stay_together_are_left_out_together() -> None:
    inputs, targets = rows_of("regression")
    kernel = torch.from_numpy(kernel_of(inputs.double().numpy()))
    wanted = targets.double()
    group = torch.tensor([3, 8, 20])
    coefficients, left_out = ridge.solve(kernel, wanted, 0.1, None, [group])
    alone, each = ridge.solve(kernel, wanted, 0.1)
    assert_same(coefficients, alone)
    others = torch.tensor([row for row in range(ROWS) if row not in group])
    without, _ = ridge.solve(kernel[others][:, others], wanted[others], 0.1)
    torch.testing.assert_close(left_out[group], kernel[group][:, others] @ without)
    assert_same(left_out[others], each[others])


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_of_many_rows_some_tell_where_to_look(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, targets = rows_of(task)
    target = CLASSES if task == "classification" else NUMBERS
    reads = np.array([True, True, True, False])
    expected = fit_infinite(inputs, targets, target, reads)
    solved: list[int] = []
    solve = ridge.solve

    def counted(kernel: torch.Tensor, *given: torch.Tensor | float) -> object:
        solved.append(len(kernel))
        return solve(kernel, *given)

    monkeypatch.setattr(ridge, "SOME", ROWS - 1)
    monkeypatch.setattr(ridge, "solve", counted)
    network, left_out = fit_infinite(inputs, targets, target, reads)
    assert_same(network.coefficients, expected.network.coefficients)
    assert_same(left_out, expected.left_out)
    assert set(solved) == {ROWS, ROWS - 1}
    assert solved.count(ROWS) == 1
    # Of several numbers each has its own penalty, so a few are tried with all rows.
    if task == "regression":
        pair = NumbersTarget("y", ("a", "b"), (0, 0), (1, 1), ((-9, 9), (-9, 9)))
        both = torch.cat([targets, torch.randn(targets.shape)], 1)
        fit_infinite(inputs, both, pair, reads)
        assert 1 < solved.count(ROWS) - 1 <= 4
    assert ridge._least(lambda at: math.inf if at < 0 else at, -1.2, ()) == pytest.approx(0.3)


def test_it_does_not_depend_on_what_it_does_not_read() -> None:
    inputs, targets = rows_of("regression")
    network, _ = fit_infinite(inputs, targets, NUMBERS, np.array([True, True, True, False]))
    other = inputs.clone()
    other[:, 3] = 99
    assert torch.equal(network(inputs), network(other))
    other[:, 2] = 99
    assert not torch.equal(network(inputs), network(other))
    assert network(inputs.double()).dtype == torch.float64
    assert network(inputs[:0]).shape == (0, 1)


@pytest.mark.parametrize("noise", [0.01, 2.0])
def test_the_penalty_is_the_best_of_its_grid(noise: float) -> None:
    inputs, _ = rows_of("regression")
    value = inputs[:, :1] + noise * torch.randn(ROWS, 1, generator=torch.Generator().manual_seed(2))
    targets = value / value.std()
    everything = np.ones(4, bool)
    _, left_out = fit_infinite(inputs, targets, NUMBERS, everything)
    found = float(NUMBERS.loss(left_out, targets.double()))
    kernels = torch.from_numpy(LAYERS.of(LAYERS.prepared(inputs.numpy())))
    wanted = targets.double() - targets.double().mean()
    losses = [
        float(NUMBERS.loss(ridge.solve(kernels, wanted, 10.0**power)[1], wanted))
        for power in np.arange(-5, 2.5, 0.5)
    ]
    assert found == pytest.approx(min(losses), rel=1e-9)


def test_weights_go_to_who_is_right() -> None:
    targets = torch.from_numpy(RNG.integers(0, 3, 400))
    right = 3.0 * torch.nn.functional.one_hot(targets, 3).double()
    noise = torch.from_numpy(RNG.normal(size=(400, 3)))
    weights = weigh(CLASSES, [noise, right + noise], targets)
    assert weights == (0.0, 1.0)
    twice = [right + torch.from_numpy(RNG.normal(0, 2, (400, 3))) for _ in range(2)]
    weights = weigh(CLASSES, twice, targets)
    assert sum(weights) == 1
    assert min(weights) > 0.25  # independent errors: both count
    value = torch.from_numpy(RNG.normal(size=(400, 1)))
    apart = [value + torch.from_numpy(RNG.normal(0, s, (400, 1))) for s in (0.5, 0.5, 5)]
    assert weigh(NUMBERS, apart, value)[2] < 0.1


def test_sharpness_undoes_a_factor() -> None:
    logits = torch.from_numpy(RNG.normal(0, 2, (20_000, 3)))
    targets = torch.distributions.Categorical(logits=logits).sample()
    for factor in (0.25, 1.0, 4.0):
        found = sharpness(CLASSES, logits * factor, targets)
        assert found * factor == pytest.approx(1, abs=0.06)  # 20,000 rows tell it to about .02
    numbers, known = logits, torch.rand(logits.shape) < 0.9
    of_each = torch.tensor([0.5, 1.0, 4.0]).double()
    several = NumbersTarget("y", ("a", "b", "c"), (0,) * 3, (1,) * 3, ((-9, 9),) * 3)
    found = factors(several, numbers / of_each, numbers.where(known, torch.nan))
    assert found.tolist() == pytest.approx([0.5, 1.0, 2.0])  # no further than to twice
    assert factors(NUMBERS, 0 * numbers[:, :1], numbers[:, :1]) == 1
    assert sharpness(NUMBERS, numbers[:, :1], 2 * numbers[:, :1]) == 1
    weights = torch.tensor([1.0, 0.0]).double()
    two = torch.tensor([[1.0], [1.0]]).double()
    assert float(factors(NUMBERS, two, 0.5 * two * torch.tensor([[1.0], [3.0]]), weights)) == 0.5


def test_the_sharpness_of_all_follows_from_that_of_one_and_two() -> None:
    """Members that are the truth and noise of their own: eight together are duller than two."""
    rows, members = 20_000, 8
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(rows, 3, generator=generator).double()
    targets = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    noise = torch.randn(members, rows, 3, generator=generator).double()
    said = (logits + 0.7 * noise).softmax(2)
    one, two, wanted = (
        sharpness(CLASSES, CLASSES.heard(said[:count].mean(0)), targets)
        for count in (1, 2, members)
    )
    assert one < two < wanted
    assert sharpness_of_all(one, two, members) == pytest.approx(wanted, rel=0.05)
    assert sharpness_of_all(one, two, 2) == two


def test_a_blend_is_the_weighted_mean_sharpened() -> None:
    outputs = torch.from_numpy(RNG.normal(size=(7, 3, 3)))
    blend = Blend((0.5, 0.25, 0.25), 2.0)
    said = torch.einsum("k,rkc->rc", torch.tensor([0.5, 0.25, 0.25]).double(), outputs.softmax(-1))
    expected = said**2 / (said**2).sum(1, keepdim=True)
    torch.testing.assert_close(blend(CLASSES, outputs).softmax(-1), expected)
    numbers = Blend((0.5, 0.5))(NUMBERS, outputs[:, :2, :1])
    torch.testing.assert_close(numbers, outputs[:, :2, :1].mean(1))


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_it_joins_several_networks_and_is_in_the_folder(task: str, tmp_path: Path) -> None:
    result = fitted(small_source(task), settings(n_estimators=4, epochs=1, learning_rate=1e-5))
    network = result.model.network
    assert isinstance(network, Ensemble)
    assert network.joined  # networks that have not learned count for less
    assert result.model.blend is not None
    assert len(result.model.blend.weights) == 4 + len(network.joined)
    kind = SelfNormClassifier if task == "classification" else SelfNormRegressor
    result.save(tmp_path / "m")
    again = kind.load(tmp_path / "m")
    table = small_source(task).table
    np.testing.assert_array_equal(again.predict(table), result.model.predict(table).values)
    assert again.model_.blend == result.model.blend


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_figures_are_cross_fitted_where_none_is_held_out(task: str) -> None:
    """What a row is told by who left it out does not know its target: noise is not learned."""
    rows = 300
    table = pa.table({"a": RNG.normal(size=rows), "b": RNG.normal(size=rows)})
    noise = RNG.normal(size=rows) if task == "regression" else RNG.integers(0, 2, rows)
    source = Source(table, noise, "y", task, 0)
    result = fitted(source, settings(n_estimators=4, epochs=30, test=None))
    assert result.evaluation.cross_fitted
    assert result.evaluation.rows == rows
    if task == "regression":
        assert result.metrics["R2"] < 0.05
        assert np.corrcoef(result.model.predict(table).values, noise)[0, 1] > 0.1
    else:
        assert abs(result.metrics["accuracy"] - 0.5) < 4 * 0.5 / rows**0.5
        assert result.metrics["log loss"] > 0.66
    kind = SelfNormClassifier if task == "classification" else SelfNormRegressor
    estimator = kind(epochs=2, width=4, random_state=0).fit(table, noise)
    shape = (rows,) if task == "regression" else (rows, 2)
    assert estimator.oof_prediction_.shape == shape
    kept = fitted(source, settings(n_estimators=4, test=0.2))
    assert not kept.evaluation.cross_fitted
    assert kept.evaluation.rows == 60


def test_a_folder_of_format_1_is_read() -> None:
    folder = Path(__file__).parent / "format1"
    again = SelfNormRegressor.load(folder)
    expected = np.loadtxt(folder / "predictions.csv")
    inputs = np.loadtxt(folder / "inputs.csv", delimiter=",")
    np.testing.assert_allclose(again.predict(inputs), expected, rtol=1e-6)


def test_who_asks_for_none_gets_none() -> None:
    alone = fitted(small_source("regression"), settings(n_estimators=4, infinite=False))
    assert not alone.model.network.joined
    single = fitted(small_source("regression"), settings(n_estimators=1))
    assert not isinstance(single.model.network, Ensemble)
    assert single.model.blend is None


def test_more_rows_than_it_can_learn_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("selfnorm.tabular._fit.MOST_ROWS", 100)
    assert not prepare(small_source("regression"), settings(n_estimators=4)).infinite
    monkeypatch.setattr("selfnorm.tabular._fit.MOST_ROWS", 120)
    assert prepare(small_source("regression"), settings(n_estimators=4)).infinite


def test_without_memory_it_is_left_out_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("selfnorm.tabular._join.fit_infinite", no_memory)
    with pytest.warns(SelfNormWarning, match="do not fit into memory; they are left out"):
        result = fitted(small_source("regression"), settings(n_estimators=4))
    assert not result.model.network.joined


def test_without_validation_one_half_is_finite() -> None:
    result = fitted(small_source("regression"), settings(n_estimators=4, validation=0.0))
    assert result.model.blend is not None
    assert result.model.blend.weights == pytest.approx([0.125] * 4 + [0.25] * 2)


def test_a_blend_from_a_damaged_file_is_refused(tmp_path: Path) -> None:
    for bad in ((), (0.5, 0.4), (1.5, -0.5), (float("nan"),)):
        with pytest.raises(ValueError, match="weight"):
            Blend(bad)
    with pytest.raises(ValueError, match="sharpness"):
        Blend((1.0,), 0.0)
    with pytest.raises(ModelFolderError):
        SelfNormRegressor.load(tmp_path)


ODD = {
    "a class of one row": (RNG.normal(size=(30, 3)), np.r_[[0] * 15, [1] * 14, 2]),
    "two rows": (RNG.normal(size=(2, 3)), np.arange(2)),
    "fewer rows than networks": (RNG.normal(size=(5, 3)), np.array([0, 1, 1, 0, 1])),
    "one feature": (RNG.normal(size=(40, 1)), RNG.integers(0, 2, 40)),
    "all constant but one": (np.c_[np.ones((40, 4)), RNG.normal(size=40)], np.arange(40) % 2),
    "a class for two rows": (RNG.normal(size=(60, 3)), np.arange(60) % 30),
    "more columns than rows": (RNG.normal(size=(20, 300)), np.arange(20) % 2),
}


@pytest.mark.filterwarnings("ignore:The class:selfnorm.errors.SelfNormWarning")
@pytest.mark.filterwarnings("ignore:Columns are left out:selfnorm.errors.SelfNormWarning")
@pytest.mark.parametrize("kind", [SelfNormClassifier, SelfNormRegressor])
@pytest.mark.parametrize("what", ODD)
def test_odd_tables_are_learned_from(what: str, kind: type) -> None:
    rows, target = ODD[what]
    model = kind(epochs=2, random_state=0).fit(rows, target)
    assert model.predict(rows).shape == target.shape
    if kind is SelfNormClassifier:
        np.testing.assert_allclose(model.predict_proba(rows).sum(1), 1)
    assert np.isfinite(model.oof_prediction_).all()


def test_a_penalty_that_roundings_outweigh_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, targets = rows_of("regression")
    monkeypatch.setattr(ridge, "_RANGE", (-30.0, 2.0))
    twice = torch.cat([inputs, inputs])  # equal rows with equal targets ask for no penalty at all
    _, left_out = fit_infinite(twice, torch.cat([targets, targets]), NUMBERS, np.ones(4, bool))
    assert left_out.isfinite().all()
    below_zero = -torch.eye(3, dtype=torch.float64)
    assert ridge.solve(below_zero, torch.ones(3, 1, dtype=torch.float64), 1e-5) is None
