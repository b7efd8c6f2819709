"""Sparse tables: never dense, of the same features, predicted alike by all ways."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy import sparse

import selfnorm
from selfnorm import SelfNormClassifier, SelfNormRegressor
from selfnorm.errors import ArgumentError, TableError, UnsupportedError
from selfnorm.tabular import load_model
from selfnorm.tabular._forward import Networks
from selfnorm.tabular._sparse_rows import Inputs, Reading
from selfnorm.tabular.data._sparse import as_column, matrix_of, width_of
from selfnorm.tabular.data._table import as_table
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.encoding._sparse import SparseColumn
from support.tolerances import IN_FLOAT32, MATRIX_MOMENTS, WITHOUT_TORCH

ROWS, COLUMNS = 240, 60
QUICK = {"epochs": 15, "random_state": 0, "n_estimators": 3}


def counts(rows: int = ROWS, columns: int = COLUMNS) -> sparse.csr_array:
    rng = np.random.default_rng(0)
    dense = rng.poisson(np.linspace(0.3, 0.05, columns), (rows, columns))
    dense = dense * np.geomspace(0.1, 50, columns)
    return sparse.csr_array(dense)


def target(X: sparse.csr_array) -> np.ndarray:
    return (X[:, [3]] > 0).toarray()[:, 0] | (X[:, [5]] > 0).toarray()[:, 0]


@pytest.fixture(scope="module")
def fitted() -> SelfNormClassifier:
    X = counts()
    return SelfNormClassifier(**QUICK).fit(X, target(X))


def test_a_matrix_comes_back_from_its_table_in_parts_and_whole() -> None:
    X = counts().tocoo()
    twice = sparse.coo_array(
        (np.concatenate([X.data, X.data]), (np.tile(X.row, 2), np.tile(X.col, 2))),
        shape=X.shape,
    )
    table = as_column(twice)
    assert width_of(table) == COLUMNS
    assert width_of(table.take([4, 2])) == COLUMNS
    dense, cells = 2 * X.toarray(), table[0]
    np.testing.assert_array_equal(matrix_of(cells, COLUMNS).toarray(), dense)
    np.testing.assert_array_equal(matrix_of(cells.slice(7, 9), COLUMNS).toarray(), dense[7:16])
    rows = np.array([100, 3, 3])
    np.testing.assert_array_equal(matrix_of(cells.take(rows), COLUMNS).toarray(), dense[rows])
    joined = np.concatenate([dense[:2], dense[9:11]])
    parts = pa.chunked_array([*cells.slice(0, 2).chunks, *cells.slice(9, 2).chunks])
    np.testing.assert_array_equal(matrix_of(parts, COLUMNS).toarray(), joined)


def test_features_have_mean_0_and_together_variance_1() -> None:
    table = as_column(counts())
    encoder = Encoder.fit(table)
    dense = encoder.transform(table).astype(np.float64)
    assert np.abs(dense.mean(0)).max() < MATRIX_MOMENTS
    assert abs(dense.var(0).mean() - 1) < MATRIX_MOMENTS
    assert dense.var(0).max() > 2 * dense.var(0).min()  # one scale for all
    product = encoder.encoded(table)
    assert product.nnz == counts().nnz
    assert encoder.sparse is not None
    shifted = product.toarray() - encoder.sparse.shift
    assert np.abs(shifted - dense).max() < MATRIX_MOMENTS * np.abs(dense).max()
    again = Encoder.from_dict(encoder.to_dict())
    np.testing.assert_array_equal(again.transform(table), encoder.transform(table))


def test_columns_units_count_for_nothing_and_rare_columns_are_left_out() -> None:
    dense = counts().toarray()
    dense[:, 7] = np.arange(ROWS) == 3
    dense[:, 9] = 2.0  # does not differ
    X = sparse.csr_array(dense)
    sure = SparseColumn.fit("X", as_column(X)[0], COLUMNS, np.arange(ROWS), 5)
    scaled = sparse.csr_array(X * np.geomspace(1e-3, 1e6, COLUMNS))
    other = SparseColumn.fit("X", as_column(scaled)[0], COLUMNS, np.arange(ROWS), 5)
    assert sure is not None
    assert other is not None
    assert 7 not in sure.places
    assert 9 not in sure.places
    assert len(sure.places) == COLUMNS - 2
    far = (sure.product(as_column(X)[0]) - other.product(as_column(scaled)[0])).toarray()
    assert np.abs(far).max() < MATRIX_MOMENTS


def test_all_ways_tell_the_same(fitted: SelfNormClassifier, tmp_path: Path) -> None:
    X, model = counts(), fitted.model_
    table = as_table(X)
    told = fitted.predict_proba(X)
    by_torch = model.target.decode(model.outputs(model.encoder.transform(table))).numbers
    many = model.target.decode(model.teller(many=True).of(model.encoder, table)).numbers
    plain = model.target.decode(Networks(model.saved)(model.encoder.encoded(table))).numbers
    assert np.abs(told - by_torch).max() < IN_FLOAT32
    assert np.abs(told - many).max() < IN_FLOAT32
    assert np.abs(told - plain).max() < WITHOUT_TORCH
    np.testing.assert_array_equal(fitted.predict_proba(X.toarray()), told)
    np.testing.assert_array_equal(fitted.predict_proba(X.tocsc()), told)
    fitted.save(tmp_path / "m.snn")
    again = SelfNormClassifier.load(tmp_path / "m.snn")
    assert again.n_features_in_ == COLUMNS
    np.testing.assert_array_equal(again.predict_proba(X), told)
    np.testing.assert_array_equal(load_model(tmp_path / "m.snn").predict(X).numbers, told)
    spread = fitted.model_.predict_spread(X[:9], mc=2)
    assert spread.deviation.shape == (9, 2)


def test_it_learns_and_stays_self_normalizing(fitted: SelfNormClassifier) -> None:
    X = counts()
    assert (fitted.oof_prediction_.argmax(1) == target(X)).mean() > 0.9
    assert all(0.8 < layer.variance < 1.5 for layer in fitted.layers_after_)
    rows = torch.from_numpy(fitted.model_.encoder.transform(as_table(X)))
    member = fitted.model_.finite[0].member(0)
    assert selfnorm.audit(member, rows).ok
    assert len(fitted.model_.about["training"]["chosen"]) > 0


def test_nothing_is_made_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("made dense")

    X, most = counts(2500, 400), 2500 * 400
    y = target(X)
    asked: list[int] = []
    original = sparse.csr_array.toarray
    monkeypatch.setattr(sparse.csr_array, "todense", refuse)
    monkeypatch.setattr(
        sparse.csr_array, "toarray", lambda one: (asked.append(one.shape[1]), original(one))[1]
    )
    made: list[int] = []
    zeros = torch.Tensor.new_zeros
    monkeypatch.setattr(
        torch.Tensor, "new_zeros", lambda one, *size: (made.append(size[0]), zeros(one, *size))[1]
    )
    how = QUICK | {"epochs": 1, "width": 8, "batch_size": 500, "n_estimators": 2}
    monkeypatch.setattr("selfnorm.tabular._prepared._MOST_DENSE", most // 50)
    model = SelfNormClassifier(**how).fit(X, y)
    model.predict_proba(X)
    assert max(asked, default=0) <= 2  # scikit-learn's log loss makes classes of indicators
    assert max(size for size in made if isinstance(size, int)) <= 80


def test_a_network_reads_numbers_of_rows_as_it_reads_rows() -> None:
    table = as_column(counts())
    encoder = Encoder.fit(table)
    inputs = Inputs(encoder)
    first = inputs.of(table, np.arange(100))
    second = inputs.of(table, np.arange(100, ROWS))
    rows = inputs.sparse(torch.device("cpu"))
    assert rows is not None
    dense = torch.from_numpy(encoder.transform(table))
    numbers = torch.cat([first, second])
    assert (rows.dense(numbers) - dense).abs().max() < IN_FLOAT32
    for members in (None, 3):
        network = selfnorm.nn.MLP(len(encoder.features), 2, width=8, depth=2, members=members)
        expected = network(dense)
        reader = Reading(network, rows)
        found = reader(numbers)
        assert (found - expected).abs().max() < IN_FLOAT32 * expected.abs().max()
        (weight,) = torch.autograd.grad(expected.square().sum(), [network.linear1.weight])
        (mine,) = torch.autograd.grad(found.square().sum(), [reader.features])
        assert (mine.transpose(-1, -2) - weight).abs().max() < IN_FLOAT32 * weight.abs().max()
        with torch.no_grad():
            reader.features.mul_(2)
        reader.finish()
        assert torch.equal(network.linear1.weight, reader.features.transpose(-1, -2))
        assert len(list(reader.parameters())) == len(list(network.parameters()))


def test_rows_to_validate_with_weights_and_numbers() -> None:
    X = counts()
    y = X.sum(1)
    kept, held = X[:180], X[180:]
    how = QUICK | {"epochs": 3, "n_estimators": 1}
    model = SelfNormRegressor(**how).fit(kept, y[:180], np.ones(180), X_val=held, y_val=y[180:])
    assert model.predict(held).shape == (60,)
    model.set_params(warm_start=True).fit(kept, y[:180])


def test_what_cannot_be_is_refused(fitted: SelfNormClassifier, tmp_path: Path) -> None:
    X = counts()
    y = target(X)
    with pytest.raises(UnsupportedError, match="sparse"):
        fitted.to_onnx(tmp_path / "model.onnx")
    with pytest.raises(UnsupportedError, match="partial_fit"):
        SelfNormRegressor(**QUICK).partial_fit(X, y)
    with pytest.raises(ArgumentError, match="ignore"):
        SelfNormClassifier(**QUICK, ignore=[3]).fit(X, y)
    with pytest.raises(TableError, match="no column"):
        SelfNormClassifier(**QUICK).fit(sparse.csr_array((ROWS, 4)), y)
    dense = SelfNormClassifier(**QUICK | {"epochs": 1}).fit(X.toarray(), y)
    with pytest.raises(UnsupportedError, match="fitted on one"):
        dense.predict(X)
    with pytest.raises(ValueError, match="features"):
        fitted.predict(X[:, :9])
    with pytest.raises(ValueError, match="NaN"):
        fitted.predict(sparse.csr_array(np.full((2, COLUMNS), np.nan)))
