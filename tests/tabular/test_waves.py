"""Infinitely many waves: their kernel, what they can learn, and how they are chosen and saved."""

import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from sklearn.datasets import load_wine
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from selfnorm.errors import ModelFolderError
from selfnorm.tabular import SelfNormClassifier, SelfNormRegressor
from selfnorm.tabular import _infinite as infinite
from selfnorm.tabular._infinite import Fitted, fit_infinite
from selfnorm.tabular._kernel import LAYERS, WAVES, Waves
from selfnorm.tabular._model_file import digest_of
from selfnorm.tabular._storage import load_model
from selfnorm.tabular._weighing import sharpness
from selfnorm.tabular.encoding._several import LabelsTarget
from selfnorm.tabular.encoding._target import ClassTarget, NumberTarget
from support.compare import assert_same

NUMBERS = NumberTarget("y", 0.0, 1.0)
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("frequency", [0.5, 1.5])
def test_waves_have_mean_0_and_variance_1_and_that_covariance(frequency: float) -> None:
    """400,000 waves; within 5 standard errors, of squares that vary by 1/2 and products by 1."""
    rng, draws, features = np.random.default_rng(1), 400_000, 7
    rows = rng.normal(size=(5, features)) * [[0.1], [1], [1], [3], [30]]
    weights = rng.normal(0, frequency / np.sqrt(features), (features, draws))
    waves = np.sqrt(2) * np.cos(rows @ weights + rng.uniform(0, 2 * np.pi, draws))
    of = Waves(frequency)
    kernel = of.of(of.prepared(rows))
    assert np.array_equal(np.diag(kernel), np.ones(5))
    assert np.array_equal(kernel, kernel.T)
    error = 5 / np.sqrt(draws)
    assert np.abs(waves.mean(1)).max() < error
    assert np.abs(waves @ waves.T / draws - kernel).max() < error
    again = of.of(of.prepared(rows), of.prepared(rows[1:3]))
    np.testing.assert_allclose(again, kernel[:, 1:3], rtol=1e-12)


def test_they_learn_a_plain_sum() -> None:
    """Of 50 columns by 300 rows, which layers of SELU cannot tell so well from what is bent."""
    rng = np.random.default_rng(0)
    X, weights = rng.normal(size=(1300, 50)), rng.normal(size=50)
    y = X @ weights / np.sqrt(50)
    inputs, targets = torch.from_numpy(X).float(), torch.from_numpy(y)[:, None].float()
    errors = []
    for kernels in ((LAYERS,), WAVES):
        network, _ = fit_infinite(
            inputs[:300], targets[:300], NUMBERS, np.ones(50, bool), kernels=kernels
        )
        errors.append(float((network(inputs[300:]) - targets[300:]).square().mean() / y.var()))
    assert errors[1] < 0.01 < errors[0]


@pytest.mark.parametrize("times", [1.0, 12.0])
def test_what_rows_say_chooses_how_long_waves_are(times: float) -> None:
    x = torch.from_numpy(RNG.normal(size=(200, 2))).float()
    y = torch.sin(times * x[:, :1])
    known = x, y / y.std(), NUMBERS, np.ones(2, bool)
    found = fit_infinite(*known, kernels=(Waves(0.1), Waves(8.0)))
    losses = [
        float(NUMBERS.loss(fit_infinite(*known, kernels=(one,)).left_out, known[1].double()))
        for one in (Waves(0.1), Waves(8.0))
    ]
    assert found.network.kernel == (Waves(0.1), Waves(8.0))[int(np.argmin(losses))]
    assert found.network.kernel == Waves(8.0 if times > 1 else 0.1)


def test_of_many_rows_some_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.from_numpy(RNG.normal(size=(90, 2))).float()
    labels = (torch.sin(6 * x[:, 0]) > 0).long()
    target = ClassTarget("y", (0, 1), (0.5, 0.5))
    weights, together = torch.linspace(0.5, 1.5, 90), torch.arange(90) // 2
    known = x, labels, target, np.ones(2, bool), weights, together
    asked: list[int] = []
    of_rows = infinite._of_rows

    def counted(kernel: Waves, rows: torch.Tensor) -> torch.Tensor:
        asked.append(len(rows))
        return of_rows(kernel, rows)

    monkeypatch.setattr(infinite, "_of_rows", counted)
    monkeypatch.setattr(infinite, "SOME", 60)
    monkeypatch.setattr("selfnorm.tabular._ridge.SOME", 60)
    found = fit_infinite(*known, kernels=WAVES)
    assert asked == [60, 60, 90]
    alone = fit_infinite(*known, kernels=(found.network.kernel,))
    assert_same(found.network.coefficients, alone.network.coefficients)


def test_a_checkpoint_keeps_how_long_they_are() -> None:
    x = torch.from_numpy(RNG.normal(size=(40, 3))).float()
    for kernels in ((LAYERS,), (Waves(1.5),)):
        fitted = fit_infinite(x, x[:, :1], NUMBERS, np.ones(3, bool), kernels=kernels)
        again = Fitted.of(fitted.tensors)
        assert again.network.kernel == kernels[0]
        assert_same(again.network(x), fitted.network(x))


def table(rows: int) -> tuple[pa.Table, np.ndarray]:
    x = np.random.default_rng(3).normal(size=(rows, 3))
    return pa.table({name: x[:, at] for at, name in enumerate("abc")}), x.sum(1)


def test_models_hold_them(tmp_path: Path) -> None:
    """Numbers as such are read by waves, in pieces by layers; a file tells which, and is tried."""
    X, y = table(200)
    model = SelfNormRegressor(n_estimators=2, epochs=3, random_state=0).fit(X, y)
    network = model.model_.network
    waves = [one for one in network.joined if one.kernel.frequency is not None]
    assert len(waves) == 1
    assert np.array_equal(waves[0].reads.numpy(), model.model_.encoder.views[0])
    model.save(tmp_path / "m")
    record = json.loads((tmp_path / "m/model.json").read_text())
    assert record["format"] == 4
    told = [one.get("frequency") for one in record["infinite"]]
    assert told == [one.kernel.frequency for one in network.joined]
    np.testing.assert_array_equal(load_model(tmp_path / "m").predict(X).values, model.predict(X))
    for wrong in (0, -1.0, "1", None, float("inf")):
        record["infinite"][0]["frequency"] = wrong
        del record["sha256"]
        record["sha256"] = digest_of(record)
        (tmp_path / "m/model.json").write_text(json.dumps(record))
        with pytest.raises(ModelFolderError, match=r"model.json' is damaged"):
            load_model(tmp_path / "m")


def test_a_model_without_them_is_of_an_older_format(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    levels = rng.integers(6, size=(200, 5))
    X = pa.table({name: np.array(list("uvwxyz"))[levels[:, at]] for at, name in enumerate("abcde")})
    y = levels[:, 0] + 2 * rng.normal(size=200) < 3  # an XOR of NumPy 1.24.0 may hold 254 for True
    model = SelfNormClassifier(n_estimators=2, epochs=3, random_state=0).fit(X, y)
    assert len(model.model_.encoder.views) == 1
    assert all(one.kernel == LAYERS for one in model.model_.network.joined)
    model.save(tmp_path / "m")
    assert json.loads((tmp_path / "m/model.json").read_text())["format"] == 2


@pytest.mark.parametrize("rows", [10, 300, 25_000])
def test_all_right_is_no_reason_to_be_sure(rows: int) -> None:
    """Half a row that may be of both classes: odds of .25 to rows + .25, where loss is least."""
    targets = torch.arange(rows) % 2
    outputs = torch.nn.functional.one_hot(targets, 2).double()
    expected = math.log((rows + 0.25) / 0.25)
    found = sharpness(ClassTarget("y", (0, 1), (0.5, 0.5)), outputs, targets)
    assert found == pytest.approx(expected, rel=0.02)  # as well as it is searched for
    target, labels = LabelsTarget("y", ("a", "b"), (0.5, 0.5)), outputs.float()
    found = sharpness(target, 2 * outputs - 1, labels)
    assert found == pytest.approx(expected, rel=0.02)
    labels[10:] = math.nan  # only what is known counts
    found = sharpness(target, 2 * outputs - 1, labels)
    assert found == pytest.approx(math.log(10.25 / 0.25), rel=0.02)


def test_few_mistakes_cost_little_where_all_seemed_right() -> None:
    X, y = load_wine(return_X_y=True)
    known, asked, told, truth = train_test_split(X, y, test_size=0.4, random_state=4, stratify=y)
    model = SelfNormClassifier(random_state=0).fit(known, told)
    assert (model.oof_prediction_.argmax(1) == told).all()
    assert model.score(asked, truth) < 1
    assert log_loss(truth, model.predict_proba(asked)) < 0.2
