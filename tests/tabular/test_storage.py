"""Model folders: what is saved comes back, and what is damaged is told."""

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load, save

from selfnorm.errors import ModelFolderError, UnsupportedError
from selfnorm.tabular import load_model, save_model
from selfnorm.tabular._output import check_prediction_file, prediction_table, write_predictions
from selfnorm.tabular._storage import check_output
from selfnorm.tabular.data._table import read_table
from support.folders import reweigh, rewrite
from support.tables import fitted, settings, small_source


@pytest.fixture(scope="module", params=["classification", "regression"])
def model(request: pytest.FixtureRequest):
    return fitted(small_source(request.param)).model


def test_a_model_comes_back_as_it_was(model, tmp_path: Path) -> None:
    noted = replace(model, about={"note": "ä"})
    save_model(noted, tmp_path / "m")
    again = load_model(tmp_path / "m")
    assert again.about == {"note": "ä"}
    assert (again.encoder, again.target, again.architectures) == (
        model.encoder,
        model.target,
        model.architectures,
    )
    table = small_source(model.target.task).table
    np.testing.assert_array_equal(again.predict(table).values, model.predict(table).values)
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == [
        "model.json",
        "model.safetensors",
    ]


def test_orthogonal_weights_come_back_with_their_selu(tmp_path: Path) -> None:
    result = fitted(small_source("regression"), settings(weights="orthogonal", depth=20))
    result.save(tmp_path / "m")
    again = load_model(tmp_path / "m")
    assert again.architectures[0].weights == "orthogonal"
    assert again.network.selu1.form == result.model.network.selu1.form is not None
    table = small_source("regression").table
    np.testing.assert_array_equal(again.predict(table).values, result.model.predict(table).values)
    kept = [layer["gram_error"] for layer in again.about["layers"]["after"]]
    assert len(kept) == 20
    assert kept == [layer.gram_error for layer in result.after]


def test_a_folder_that_does_not_tell_the_kind_of_weights(model, tmp_path: Path) -> None:
    save_model(model, tmp_path)
    rewrite(tmp_path, lambda record: record["architectures"][0].pop("weights"))
    assert load_model(tmp_path).architectures == model.architectures


def test_loading_leaves_torchs_random_numbers_alone(model, tmp_path: Path) -> None:
    save_model(model, tmp_path)
    state = torch.get_rng_state()
    load_model(tmp_path)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("default", ["device", "dtype"])
def test_torchs_defaults_do_not_matter(default: str, model, tmp_path: Path) -> None:
    before = torch.get_default_dtype()
    try:
        if default == "device":
            torch.set_default_device("meta")
        else:
            torch.set_default_dtype(torch.float64)
        again = fitted(small_source(model.target.task)).model
        save_model(again, tmp_path)
        found = load_model(tmp_path).predict(small_source(model.target.task).table)
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(before)
    expected = model.predict(small_source(model.target.task).table)
    if default == "device" and model.target.task == "regression":
        # A mode is on then, so layers run one by one, whose gradients are rounded another way.
        np.testing.assert_allclose(found.values, expected.values, rtol=1e-5)
    else:
        np.testing.assert_array_equal(found.values, expected.values)


def test_one_seed_writes_the_same_bytes_twice(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_model(fitted(small_source("classification")).model, tmp_path / name)
    other = fitted(small_source("classification"), settings(seed=1)).model
    save_model(other, tmp_path / "other")
    for file in ("model.safetensors", "model.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert (tmp_path / "one/model.safetensors").read_bytes() != (
        tmp_path / "other/model.safetensors"
    ).read_bytes()


def damage_record(folder: Path, **changes: object) -> None:
    rewrite(folder, lambda record: record.update(changes))


DAMAGE = {
    "no record": (lambda folder: (folder / "model.json").unlink(), "there is no '.*model.json'"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "there is no '.*safetensors'"),
    "not JSON": (lambda f: (f / "model.json").write_text("{"), "model.json' is damaged"),
    "not text": (lambda f: (f / "model.json").write_bytes(b"\xff"), "model.json' is damaged"),
    "a list": (lambda f: (f / "model.json").write_text("[]"), "model.json' is damaged"),
    "no encoder": (lambda f: damage_record(f, encoder={}), "model.json' is damaged"),
    "no network": (
        lambda f: damage_record(f, architectures=[{"width": -1}]),
        "model.json' is damaged",
    ),
    "other shapes": (
        lambda f: damage_record(
            f, architectures=[{"width": 9, "depth": 2, "shape": "conic", "dropout": 0}]
        ),
        "safetensors' is damaged",
    ),
    "no checksum": (
        lambda f: (f / "model.json").write_text(
            json.dumps(
                {
                    k: v
                    for k, v in json.loads((f / "model.json").read_text()).items()
                    if k != "sha256"
                }
            )
        ),
        r"model.json' is damaged \(there is no 'sha256'\). Fit the model again",
    ),
    "other version": (
        lambda f: damage_record(f, format=5),
        "of formats 1 to 4; .* is of format 5",
    ),
    "cut weights": (
        lambda f: (f / "model.safetensors").write_bytes(
            (f / "model.safetensors").read_bytes()[:-7]
        ),
        "safetensors' is damaged",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_folder_is_told_in_one_line(kind: str, model, tmp_path: Path) -> None:
    damage, words = DAMAGE[kind]
    save_model(model, tmp_path)
    damage(tmp_path)
    with pytest.raises(ModelFolderError, match=words) as error:
        load_model(tmp_path)
    assert "\n" not in str(error.value)


def test_a_pickle_is_never_run(model, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    save_model(model, tmp_path)
    for file in ("model.safetensors", "model.json"):
        (tmp_path / file).write_bytes(pickle.dumps(Trap()))
        with pytest.raises(ModelFolderError):
            load_model(tmp_path)
    assert not (tmp_path / "sprung").exists()


def change(path: str, value: object) -> Callable[[dict], None]:
    """Sets what stands at a path such as `encoder/columns/0/mean` in a record."""

    def apply(record: dict) -> None:
        *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
        for part in parents:
            record = record[part]
        record[last] = value

    return apply


NONSENSE = {
    "mean of text": change("encoder/columns/0/mean", "x"),
    "mean without end": change("encoder/columns/0/mean", float("inf")),
    "mean too long": change("encoder/columns/0/mean", 10**400),
    "deviation null": change("encoder/columns/0/deviation", None),
    "deviation 0": change("encoder/columns/0/deviation", 0),
    "deviation nan": change("encoder/columns/0/deviation", float("nan")),
    "missing 2": change("encoder/columns/0/missing", 2),
    "holds cheese": change("encoder/columns/0/holds", "cheese"),
    "name 3": change("encoder/columns/0/name", 3),
    "kind unknown": change("encoder/columns/0/kind", "image"),
    "kind a list": change("encoder/columns/0/kind", []),
    "one field more": change("encoder/columns/0/more", 1),
    "levels of numbers": change("encoder/columns/1/levels", [1, 2, 3]),
    "levels twice": change("encoder/columns/1/levels", ["Lima", "Lima", "Rome"]),
    "levels null": change("encoder/columns/1/levels", None),
    "shares short": change("encoder/columns/1/shares", [0.5]),
    "shares of 0": change("encoder/columns/1/shares", [0.0, 0.5, 0.5]),
    "known 0": change("encoder/columns/1/known", 0),
    "known of no size": change("encoder/columns/1/known", 1e-320),
    "known too small for float32": change("encoder/columns/1/known", 1e-80),
    "shares of no size": change("encoder/columns/1/shares", [1e-320, 0.5, 0.5]),
    "shares beyond 1": change("encoder/columns/1/shares", [0.5, 0.5, 0.5]),
    "missing of no size": change("encoder/columns/0/missing", 1e-320),
    "deviation of no size": change("encoder/columns/0/deviation", 5e-324),
    "name of half a letter": change("encoder/columns/0/name", "\ud800"),
    "level of half a letter": change("encoder/columns/1/levels/0", "\ud800"),
    "one column twice": change("encoder/columns/2/name", "size"),
    "no columns": change("encoder/columns", []),
    "columns null": change("encoder/columns", None),
    "ignored 3": change("encoder/ignored", 3),
    "task unknown": change("target/task", "poetry"),
    "target null": change("target", None),
    "width of 10 million": change("architectures/0/width", 10**7),
    "width a float": change("architectures/0/width", 16.0),
    "width too long": change("architectures/0/width", 10**400),
    "depth of a billion": change("architectures/0/depth", 10**9),
    "shape unknown": change("architectures/0/shape", "round"),
    "weights unknown": change("architectures/0/weights", "square"),
    "weights a list": change("architectures/0/weights", []),
    "dropout nan": change("architectures/0/dropout", float("nan")),
    "dropout true": change("architectures/0/dropout", True),
    "no architecture": change("architectures", []),
    "architectures a record": change("architectures", {"width": 16}),
    "architecture null": change("architectures/0", None),
    "about null": change("about", None),
    "other weights": change("weights_sha256", "0" * 64),
}
NONSENSE_OF_CLASSES = {
    "classes mixed": change("target/classes", ["big", 1]),
    "classes null": change("target/classes", [None, None]),
    "classes unsorted": change("target/classes", ["small", "big"]),
    "classes nan": change("target/classes", [1.5, float("nan")]),
    "shares short": change("target/shares", [1.0]),
    "shares of little": change("target/shares", [0.1, 0.1]),
    "classes of half a letter": change("target/classes", ["big", "\ud800"]),
    "classes beyond 64 bits": change("target/classes", [1, 2**70]),
    "classes beyond either sign": change("target/classes", [-1, 2**63]),
    "shares of text": change("target/shares", ["a", "b"]),
}
NONSENSE_OF_NUMBERS = {
    "mean nan": change("target/mean", float("nan")),
    "deviation 0": change("target/deviation", 0.0),
    "deviation true": change("target/deviation", True),
    "deviation of no size": change("target/deviation", 1e-200),
    "deviation beyond squares": change("target/deviation", 1e200),
    "mean beyond squares": change("target/mean", -1e200),
}


def refused(folder: Path) -> str:
    with pytest.raises(ModelFolderError) as error:
        load_model(folder)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300 + 2 * len(str(folder))
    return str(error.value)


def test_a_record_of_nonsense_is_refused(model, tmp_path: Path) -> None:
    save_model(model, tmp_path)
    content = (tmp_path / "model.json").read_text()
    of_target = (
        NONSENSE_OF_CLASSES if model.target.task == "classification" else NONSENSE_OF_NUMBERS
    )
    for kind, apply in {**NONSENSE, **of_target}.items():
        (tmp_path / "model.json").write_text(content)
        rewrite(tmp_path, apply)
        assert "is damaged (" in refused(tmp_path), kind
    (tmp_path / "model.json").write_text("[" * 100_000)
    assert "is damaged" in refused(tmp_path)


def negated(state: dict) -> dict:
    return {name: -value for name, value in state.items()}


STATES = {
    "nan": (lambda state: {**state, "output.bias": state["output.bias"] * torch.nan}, "not finite"),
    "whole": (lambda state: {name: value.int() for name, value in state.items()}, "is int32"),
    "shape": (lambda state: {**state, "linear1.bias": torch.zeros(3)}, r"of shape \(3,\), not"),
    "name": (
        lambda state: {f"{name}s": value for name, value in state.items()},
        "there is no 'linear1.weight'",
    ),
    "more": (lambda state: {**state, "more": torch.zeros(3)}, "it holds 9 tensors, and not 8"),
}


@pytest.mark.parametrize("kind", STATES)
def test_weights_that_are_not_the_networks_are_refused(kind: str, model, tmp_path: Path) -> None:
    alter, words = STATES[kind]
    save_model(model, tmp_path)
    reweigh(tmp_path, alter)
    with pytest.raises(ModelFolderError, match=rf"safetensors' is damaged \(.*{words}"):
        load_model(tmp_path)


def test_a_folder_of_which_half_was_replaced_is_told(model, tmp_path: Path) -> None:
    save_model(model, tmp_path)
    weights = save(negated(load((tmp_path / "model.safetensors").read_bytes())))
    (tmp_path / "model.safetensors").write_bytes(weights)
    assert "its SHA-256 is not the one in model.json" in refused(tmp_path)


def test_nothing_is_written_over_unasked(model, tmp_path: Path) -> None:
    check_output(tmp_path / "a" / "new", force=False)
    check_output(tmp_path, force=False)
    assert not list(tmp_path.iterdir()), "the probe leaves nothing behind"
    (tmp_path / "file").write_text("mine")
    for refused in (check_output, lambda folder, force: save_model(model, folder, force=force)):
        with pytest.raises(
            ModelFolderError, match=r"holds files. Name another with -o, or give --force"
        ):
            refused(tmp_path, force=False)
        with pytest.raises(
            ModelFolderError, match=r"--force writes over a model, and .* holds none"
        ):
            refused(tmp_path, force=True)
    save_model(model, tmp_path / "m")
    with pytest.raises(ModelFolderError, match=r"in Python force=True"):
        save_model(model, tmp_path / "m")
    save_model(model, tmp_path / "m", force=True)
    check_output(tmp_path / "m", force=True)
    with pytest.raises(ModelFolderError, match=r"is a file"):
        check_output(tmp_path / "file", force=True)


def test_a_folder_that_cannot_be_written_is_told_before_and_after(model, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file" / "m", tmp_path / ("x" * 300)):
        with pytest.raises(ModelFolderError, match=r"must be one that can be written"):
            check_output(folder, force=False)
        with pytest.raises(ModelFolderError, match=r"must be one that can be written"):
            save_model(model, folder)
    with pytest.raises(ModelFolderError, match=r"a folder with a name; none came"):
        check_output(Path(), force=False)
    with pytest.raises(ModelFolderError, match=r"must be readable"):
        load_model(tmp_path / ("x" * 300))


@pytest.mark.parametrize("about", [{"columns": ["\ud800"]}, {"made": object()}])
def test_a_record_that_json_cannot_hold_is_told(about: dict, model, tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="record is JSON in UTF-8; this one's cannot"):
        save_model(replace(model, about=about), tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_other_files_in_the_folder_stay(model, tmp_path: Path) -> None:
    save_model(model, tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    save_model(model, tmp_path, force=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_paths_may_be_text(model, tmp_path: Path) -> None:
    folder, file = str(tmp_path / "m"), str(tmp_path / "p.CSV")
    check_output(folder, force=False)
    save_model(model, folder)
    again = load_model(folder)
    table = small_source(model.target.task).table
    check_prediction_file(file, force=False)
    write_predictions(prediction_table(again.target, again.predict(table)), file)
    assert read_table(file).num_rows == table.num_rows


@pytest.mark.parametrize("kind", [pl.DataFrame, lambda table: table.to_pandas()])
def test_any_table_is_predicted(model, kind: Callable[[pa.Table], object]) -> None:
    table = small_source(model.target.task).table
    expected = model.predict(table).values
    np.testing.assert_array_equal(model.predict(kind(table)).values, expected)
    with pytest.raises(UnsupportedError, match="A table is a DataFrame"):
        model.predict(7)
