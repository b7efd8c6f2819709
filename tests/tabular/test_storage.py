"""Model folders: what is saved comes back, and what is damaged is told."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from selfnorm.errors import ModelFolderError
from selfnorm.tabular import check_output, load_model, save_model
from support.tables import fitted, settings, small_source


@pytest.fixture(scope="module", params=["classification", "regression"])
def model(request: pytest.FixtureRequest):
    return fitted(small_source(request.param))[0]


def test_a_model_comes_back_as_it_was(model, tmp_path: Path) -> None:
    save_model(model, tmp_path / "m", about={"note": "ä"})
    again, about = load_model(tmp_path / "m")
    assert about == {"note": "ä"}
    assert (again.encoder, again.target, again.architecture) == (
        model.encoder,
        model.target,
        model.architecture,
    )
    table = small_source(model.target.task).table
    np.testing.assert_array_equal(again.predict(table).values, model.predict(table).values)
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == [
        "model.json",
        "model.safetensors",
    ]


def test_loading_leaves_torchs_random_numbers_alone(model, tmp_path: Path) -> None:
    save_model(model, tmp_path, about={})
    state = torch.get_rng_state()
    load_model(tmp_path)
    assert torch.equal(torch.get_rng_state(), state)


def test_one_seed_writes_the_same_bytes_twice(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_model(fitted(small_source("classification"))[0], tmp_path / name, about={})
    other = fitted(small_source("classification"), settings(seed=1))[0]
    save_model(other, tmp_path / "other", about={})
    for file in ("model.safetensors", "model.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert (tmp_path / "one/model.safetensors").read_bytes() != (
        tmp_path / "other/model.safetensors"
    ).read_bytes()


def damage_record(folder: Path, **changes: object) -> None:
    record = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(record | changes))


DAMAGE = {
    "no record": (lambda folder: (folder / "model.json").unlink(), "there is no '.*model.json'"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "there is no '.*safetensors'"),
    "not JSON": (lambda f: (f / "model.json").write_text("{"), "model.json' is damaged"),
    "not text": (lambda f: (f / "model.json").write_bytes(b"\xff"), "model.json' is damaged"),
    "a list": (lambda f: (f / "model.json").write_text("[]"), "model.json' is damaged"),
    "no encoder": (lambda f: damage_record(f, encoder={}), "model.json' is damaged"),
    "no network": (
        lambda f: damage_record(f, architecture={"width": -1}),
        "model.json' is damaged",
    ),
    "other shapes": (
        lambda f: damage_record(
            f, architecture={"width": 9, "depth": 2, "shape": "conic", "dropout": 0}
        ),
        "safetensors' is damaged",
    ),
    "other version": (lambda f: damage_record(f, format=2), "of format 1; .* is of format 2"),
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
    save_model(model, tmp_path, about={})
    damage(tmp_path)
    with pytest.raises(ModelFolderError, match=words) as error:
        load_model(tmp_path)
    assert "\n" not in str(error.value)


def test_a_pickle_is_never_run(model, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    save_model(model, tmp_path, about={})
    for file in ("model.safetensors", "model.json"):
        (tmp_path / file).write_bytes(pickle.dumps(Trap()))
        with pytest.raises(ModelFolderError):
            load_model(tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_nothing_is_written_over_unasked(tmp_path: Path) -> None:
    check_output(tmp_path / "new", force=False)
    check_output(tmp_path, force=False)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(
        ModelFolderError, match=r"holds files. Name another with -o, or give --force"
    ):
        check_output(tmp_path, force=False)
    check_output(tmp_path, force=True)
    with pytest.raises(ModelFolderError, match=r"is a file"):
        check_output(tmp_path / "file", force=True)


def test_other_files_in_the_folder_stay(model, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    save_model(model, tmp_path, about={})
    assert (tmp_path / "notes.txt").read_text() == "mine"
