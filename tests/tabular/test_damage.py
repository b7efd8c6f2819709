"""Damage of every kind to a model folder: told, or without effect on any prediction."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from selfnorm.errors import ModelFolderError, SelfNormError
from selfnorm.tabular import TabularModel, load_model, save_model
from selfnorm.tabular import _storage as storage
from support.require import require
from support.tables import fitted, small_source

FLIPS = 400


@pytest.fixture(scope="module", params=["classification", "regression"])
def model(request: pytest.FixtureRequest) -> TabularModel:
    return fitted(small_source(request.param)).model


def predicted(model: TabularModel) -> tuple[np.ndarray, np.ndarray | None]:
    found = model.predict(small_source(model.target.task).table)
    return found.values, found.probabilities


@pytest.mark.parametrize("file", ["model.json", "model.safetensors"])
def test_a_flipped_bit_is_told_or_changes_nothing(
    file: str, model: TabularModel, tmp_path: Path
) -> None:
    save_model(model, tmp_path)
    expected = predicted(model)
    content = (tmp_path / file).read_bytes()
    chance = np.random.default_rng(0)
    told = 0
    for position in chance.choice(8 * len(content), FLIPS, replace=False):
        flipped = bytearray(content)
        flipped[position // 8] ^= 1 << (position % 8)
        (tmp_path / file).write_bytes(flipped)
        try:
            again = load_model(tmp_path)
        except ModelFolderError:
            told += 1
        else:
            for one, other in zip(predicted(again), expected, strict=True):
                np.testing.assert_array_equal(one, other)
    assert told > 0.99 * FLIPS  # the e of 1e-05 may become an E


def test_a_record_may_be_written_down_otherwise(model: TabularModel, tmp_path: Path) -> None:
    save_model(model, tmp_path)
    record = json.loads((tmp_path / "model.json").read_text())
    shuffled = dict(sorted(record.items(), reverse=True))
    (tmp_path / "model.json").write_text(json.dumps(shuffled, indent=4))
    np.testing.assert_array_equal(predicted(load_model(tmp_path))[0], predicted(model)[0])


class Lost(nn.Module):
    """A network whose outputs are infinite from the eleventh row on."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(outputs))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        rows = torch.arange(len(inputs))[:, None]
        return torch.where(rows < 10, 1.0, torch.inf) * self.weight


def test_what_is_no_prediction_is_told(model: TabularModel) -> None:
    lost = replace(model, network=Lost(model.target.outputs))
    source = small_source(model.target.task)
    words = r"must be finite; in 110 of 120 rows it is not, first in row 11\. .* fit it again"
    with pytest.raises(SelfNormError, match=words):
        lost.predict(source.table)
    with pytest.raises(SelfNormError, match=words):
        lost.evaluate(source.table.append_column(model.target.name, [source.values]))


def test_files_of_another_size_are_damaged(model: TabularModel, tmp_path: Path) -> None:
    save_model(model, tmp_path)
    for name in ("model.json", "model.safetensors"):
        content = (tmp_path / name).read_bytes()
        for size in (0, len(content) - 1):
            (tmp_path / name).write_bytes(content[:size])
            with pytest.raises(ModelFolderError, match=f"{name}' is damaged"):
                load_model(tmp_path)
        (tmp_path / name).write_bytes(content)


def test_files_too_large_are_not_read(tmp_path: Path) -> None:
    """40 GiB that take no room on the disk: as zeros in memory they would be too many."""
    require("cpu", None if sys.platform == "linux" else "memory can be bounded on Linux alone")
    whole = fitted(small_source("regression")).model
    for folder, file in (("a", ""), ("b", "model.json"), ("c", "model.safetensors")):
        save_model(whole, tmp_path / folder)
        if file:
            with (tmp_path / folder / file).open("r+b") as opened:
                opened.truncate(40 * 2**30)
    program = (
        "import resource, sys\n"
        "from selfnorm.errors import ModelFolderError\n"
        "from selfnorm.tabular._storage import load_model\n"
        "own = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (own + 2**30,) * 2)\n"
        "for folder in sys.argv[1:]:\n"
        "    try:\n"
        "        print(type(load_model(folder)).__name__)\n"
        "    except ModelFolderError as error:\n"
        "        print(error)\n"
    )
    command = [sys.executable, "-c", program, *(str(tmp_path / folder) for folder in "abc")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.stderr
    good, *damaged = done.stdout.splitlines()
    assert good == "TabularModel"
    for name, line in zip(("model.json", "model.safetensors"), damaged, strict=True):
        assert f"{name}' is damaged (it has 42,949,672,960 bytes, and not " in line


def test_a_record_that_could_not_be_read_again_is_not_written(
    model: TabularModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "LARGEST_RECORD", 1000)
    with pytest.raises(
        ModelFolderError, match=r"of 1,000 bytes at most; this one has [\d,]+\. Lea"
    ):
        save_model(model, tmp_path)
    assert not list(tmp_path.iterdir())
