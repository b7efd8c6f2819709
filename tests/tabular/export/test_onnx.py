"""Exported models: onnxruntime says what the model says, from columns as they are."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from selfnorm import SelfNormClassifier, SelfNormRegressor
from selfnorm.errors import MissingPackageError, ModelFolderError, SelfNormError
from selfnorm.tabular import TabularModel
from selfnorm.tabular.data._table import as_table
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.export import _export
from selfnorm.tabular.export._export import TOLERANCE, inputs_of
from selfnorm.tabular.export._rows import made_rows
from support.tables import fitted, settings, small_source
from support.tolerances import EXPORTED

onnxruntime = pytest.importorskip("onnxruntime")
SHAPES = {
    "one": {},
    "one, deep and orthogonal": {"weights": "orthogonal", "depth": 20, "width": 8},
    "conic": {"shape": "conic", "n_estimators": 2, "infinite": False},
    "with infinite width": {"n_estimators": 2},
}


@pytest.fixture(scope="module", params=[*SHAPES, "numbers"])
def model(request: pytest.FixtureRequest) -> TabularModel:
    if request.param == "numbers":
        return fitted(small_source("regression"), settings(n_estimators=3)).model
    return fitted(small_source("classification"), settings(**SHAPES[request.param])).model


def answers(path: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))


def test_onnxruntime_says_what_the_model_says(model: TabularModel, tmp_path: Path) -> None:
    table = small_source(model.target.task).table
    found = model.to_onnx(tmp_path / "m.onnx", table)
    assert found.checked == table.num_rows
    assert found.difference < TOLERANCE
    assert found.read == ("day",)
    told = answers(tmp_path / "m.onnx", inputs_of(model.encoder, table))
    expected = model.predict(table)
    if model.target.task == "classification":
        assert told["label"].tolist() == expected.values.tolist()
        assert np.abs(told["probabilities"] - expected.probabilities).max() < EXPORTED
    else:
        far = np.abs(told["prediction"] - expected.values).max()
        assert far < EXPORTED * model.target.deviation


@pytest.mark.parametrize("infinite", [True, False])
@pytest.mark.parametrize("kind", ["numbers", "labels"])
def test_several_outputs_are_told_as_the_model_tells_them(
    kind: str, infinite: bool, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((120, 4))
    y = np.stack([X[:, 0] + X[:, 1] ** 2, 100 * X[:, 2] - 70 * X[:, 3], X[:, 3] - X[:, 0]], axis=1)
    how = {"n_estimators": 2, "epochs": 3, "infinite": infinite, "random_state": 0}
    if kind == "numbers":
        model = SelfNormRegressor(**how).fit(X, y)
        expected, scale = model.predict(X), y.std(0)
    else:
        model = SelfNormClassifier(**how).fit(X, (y > 0).astype(int))
        expected, scale = model.model_.predict(X).probabilities, np.ones(3)
    model.to_onnx(tmp_path / "m.onnx", X)
    given = inputs_of(model.model_.encoder, as_table(X))
    told = answers(tmp_path / "m.onnx", given)
    assert expected.shape == (120, 3)
    found = told["prediction" if kind == "numbers" else "probabilities"]
    assert np.abs((found - expected) / scale).max() < EXPORTED
    if kind == "labels":
        np.testing.assert_array_equal(told["label"], model.predict(X))


def test_a_row_alone_and_no_row(model: TabularModel, tmp_path: Path) -> None:
    table = small_source(model.target.task).table
    model.to_onnx(tmp_path / "m.onnx")
    for rows in (1, 0):
        told = answers(tmp_path / "m.onnx", inputs_of(model.encoder, table.slice(0, rows)))
        assert {len(one) for one in told.values()} == {rows}


def features_of(encoder: Encoder, table: pa.Table, path: Path) -> np.ndarray:
    """The matrix that a graph makes of a table."""
    import onnx

    from selfnorm.tabular.export._columns import features_of
    from selfnorm.tabular.export._graph import Graph

    graph = Graph({column.name for column in encoder.columns})
    parts = [features_of(graph, column) for column in encoder.columns]
    graph.output(graph.node("Concat", *parts, axis=1), "matrix", "float", len(encoder.features))
    onnx.save(graph.model(""), path)
    return answers(path, inputs_of(encoder, table))["matrix"]


def odd_table(rows: int = 400) -> pa.Table:
    """Columns of every kind, among them names that the graph itself would take."""
    rng = np.random.default_rng(0)

    def holes(values: np.ndarray) -> pa.Array:
        return pa.array(values, mask=rng.random(rows) < 0.1)

    days = rng.integers(-40_000, 40_000, rows)
    return pa.table(
        {
            "label": holes(rng.standard_normal(rows) * 1e6),
            "v1": holes(rng.choice([0.0, 1.0, 5.0], rows)),
            "probabilities": holes(rng.choice(["a", "ä ö", "NA-like", "7"], rows)),
            "two": holes(rng.choice(["yes", "no"], rows)),
            "flag": holes(rng.random(rows) < 0.5),
            "only": pa.array(np.ones(rows), mask=rng.random(rows) < 0.4),
            "date": holes(days.astype("datetime64[D]")),
            "moment": holes((days * 86_400 + rng.integers(0, 86_400, rows)).astype("M8[s]")),
            "hour": pa.array((rng.random(rows) * 86_400).astype(np.int32), pa.time32("s")),
            "took": holes(rng.integers(0, 10**6, rows).astype("m8[s]")),
        }
    )


def test_features_are_the_encoders(tmp_path: Path) -> None:
    encoder = Encoder.fit(odd_table(), pieces=8)
    names = encoder.features
    assert {one.kind for one in encoder.columns} == {"number", "category", "presence"}
    assert any("month" in name for name in names)
    assert any("year" in name for name in names)
    for table in (odd_table(), made_rows(encoder, 500)):
        found = features_of(encoder, table, tmp_path / "f.onnx")
        expected = encoder.transform(table)
        far = np.abs(found - expected) / np.maximum(1, np.abs(expected))
        worst = np.unravel_index(far.argmax(), far.shape)
        assert far.max() < EXPORTED, (names[worst[1]], found[worst], expected[worst])


def test_every_day_has_its_place(tmp_path: Path) -> None:
    """Leap years, centuries, and days before 1970 and before Christ."""
    days = np.arange(-800_000, 800_000, 97).astype("datetime64[D]").astype("datetime64[s]")
    table = pa.table({"day": pa.array(days), "x": np.arange(len(days)) % 7.0})
    encoder = Encoder.fit(table, pieces=0)
    found = features_of(encoder, table, tmp_path / "f.onnx")
    assert np.abs(found - encoder.transform(table)).max() < EXPORTED


@pytest.mark.parametrize("classes", [("a", "ü"), (0, 3), (False, True), (0.5, 1.5)])
def test_labels_are_of_their_own_kind(classes: tuple, tmp_path: Path) -> None:
    source = small_source("classification")
    values = np.asarray(classes)[(source.values == "big").astype(int)]
    model = fitted(replace(source, values=values)).model
    model.to_onnx(tmp_path / "m.onnx")
    told = answers(tmp_path / "m.onnx", inputs_of(model.encoder, source.table))
    assert told["label"].tolist() == model.predict(source.table).values.tolist()


def test_without_the_rows_it_is_smaller_and_right(tmp_path: Path) -> None:
    model = fitted(small_source("classification"), settings(n_estimators=2)).model
    assert len(model.network.joined) > 0
    less = model.without_rows()
    assert less.without_rows() is less
    assert less.about["without_rows"]
    assert sum(less.blend.weights) == pytest.approx(1)
    for name, one in (("all", model), ("less", less)):
        assert one.to_onnx(tmp_path / f"{name}.onnx").difference < TOLERANCE
    assert (tmp_path / "less.onnx").stat().st_size < (tmp_path / "all.onnx").stat().st_size
    finite = model.network.networks
    outputs = [one(torch_rows(model)).transpose(0, 1).softmax(-1).mean(1) for one in finite]
    found = less.predict(small_source("classification").table).probabilities
    sharp = outputs[0].detach().numpy() ** less.blend.sharpness
    np.testing.assert_allclose(found, sharp / sharp.sum(1, keepdims=True), atol=EXPORTED)


def torch_rows(model: TabularModel) -> object:
    import torch

    return torch.from_numpy(model.encoder.transform(small_source("classification").table))


def test_what_is_wrong_is_told(
    model: TabularModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.onnx"
    for bad, words in (
        (tmp_path / "m.bin", r"ends in \.onnx"),
        (tmp_path / "no" / "m.onnx", "There is no folder"),
    ):
        with pytest.raises(ModelFolderError, match=words):
            model.to_onnx(bad)
    path.write_text("mine")
    with pytest.raises(ModelFolderError, match="is there already"):
        model.to_onnx(path)
    monkeypatch.setattr(_export, "TOLERANCE", 0.0)
    with pytest.raises(SelfNormError, match="must say what the model says"):
        model.to_onnx(path, force=True)
    assert path.read_text() == "mine"
    monkeypatch.setattr(_export, "TOLERANCE", 1.0)
    monkeypatch.setattr(_export, "_LARGEST", 100)
    with pytest.raises(ModelFolderError, match="2 GiB at most"):
        model.to_onnx(path, force=True)


def test_without_onnx_a_line_says_how_to_get_it(
    model: TabularModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    for name in [name for name in sys.modules if name.startswith("selfnorm.tabular.export._")]:
        if name.rsplit(".", 1)[1] in ("_graph", "_columns", "_networks"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingPackageError, match=r"needs ONNX.*selfnorm\[onnx\]"):
        model.to_onnx(tmp_path / "m.onnx")


def test_the_file_says_what_it_asks_for(model: TabularModel, tmp_path: Path) -> None:
    import onnx

    model.to_onnx(tmp_path / "m.onnx")
    read = onnx.load(tmp_path / "m.onnx")
    onnx.checker.check_model(read)
    told = json.loads(read.doc_string)
    assert told["inputs"] == {one.name: one.doc_string for one in read.graph.input}
    assert "days since 1970-01-01" in told["inputs"]["day"]
