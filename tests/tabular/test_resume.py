"""Fits of tables that go on from a checkpoint: the same model, and nothing is done twice."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.base import clone

from selfnorm.errors import CheckpointError
from selfnorm.tabular import Result, SelfNormRegressor, Settings, fit
from selfnorm.tabular import _join as join
from selfnorm.tabular._fit import prepare
from selfnorm.tabular._fit_checkpoint import identity
from selfnorm.tabular._prepared import Prepared
from selfnorm.tabular._search import search
from selfnorm.tabular._storage import save_model
from selfnorm.tabular._validate import cross_validate
from selfnorm.tabular.stream._statistics import Pass
from selfnorm.training import Checkpoint, Progress
from support.fresh import run_fresh
from support.tables import settings, small_source, small_table

KILLS = int(os.environ.get("SELFNORM_KILLS", "3"))
pytestmark = pytest.mark.filterwarnings("ignore:In memory the table would take")


class Cut(Progress):
    """Ends the process, or what a test has of one, behind so many mini-batches."""

    def __init__(self, at: int | None = None) -> None:
        self.at, self.steps, self.before = at, 0, 0

    def resumed(self, steps: int) -> None:
        self.before = steps

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.at:
            raise SystemExit


def bytes_of(result: Result, folder: Path) -> bytes:
    save_model(result.model, folder / "model.snn", force=True)
    return (folder / "model.snn").read_bytes()


def by_steps(folder: Path, steps: int) -> Checkpoint:
    """A checkpoint that no time makes due."""
    return Checkpoint(folder / "c", every=1e9, steps=steps)


def goes_on(tmp_path: Path, source: object, how: Settings, at: int, steps: int = 5) -> Cut:
    """Cut a fit, go on, and hold the model's bytes, layers and epochs against an undisturbed one's.

    Returns:
        How many steps there were before, and behind.
    """
    undisturbed = fit(source, how)
    with pytest.raises(SystemExit):
        fit(source, how, progress=Cut(at), checkpoint=by_steps(tmp_path, steps))
    told = Cut()
    resumed = fit(source, how, progress=told, checkpoint=Checkpoint(tmp_path / "c", resume=True))
    assert bytes_of(resumed, tmp_path) == bytes_of(undisturbed, tmp_path)
    assert str(resumed.observed) == str(undisturbed.observed)  # nan is nan
    assert not (tmp_path / "c").exists()
    return told


def test_members_joined_by_infinite_width_and_what_a_monitor_saw(tmp_path: Path) -> None:
    how = settings(n_estimators=2, infinite=True, target="label", ignore=("amount",), monitor=4)
    assert goes_on(tmp_path, small_table(), how, at=9).before == 5


def test_a_single_network_of_numbers(tmp_path: Path) -> None:
    how = settings(target="amount", ignore=("label",), weights="orthogonal")
    assert goes_on(tmp_path, small_table(), how, at=8).before == 5


def test_of_several_shapes_those_that_are_done_are_not_trained_again(tmp_path: Path) -> None:
    how = Settings(
        target="label", ignore=("amount",), preset="best", n_estimators=2, epochs=2, infinite=False
    )
    told = goes_on(tmp_path, small_table(), how, at=2 * 8 + 3, steps=1)
    assert (told.before, told.steps) == (2, 8 - 2)


def test_a_network_of_infinite_width_is_not_fitted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = settings(n_estimators=2, infinite=True, target="label", ignore=("amount",))
    undisturbed, once = fit(small_table(), how), join.fit_infinite
    fitted: list[int] = []

    def then(function: Callable[..., object]) -> Callable[..., object]:
        def counted(*arguments: object) -> object:
            fitted.append(1)
            return function(*arguments)

        return counted

    def stop(*_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(join, "fit_infinite", then(once))
    monkeypatch.setattr("selfnorm.tabular._fit.TabularModel", stop)
    with pytest.raises(SystemExit):
        fit(small_table(), how, checkpoint=tmp_path / "c")
    monkeypatch.undo()
    assert len(fitted) == 2
    monkeypatch.setattr(join, "fit_infinite", stop)
    told = Cut()
    resumed = fit(
        small_table(), how, progress=told, checkpoint=Checkpoint(tmp_path / "c", resume=True)
    )
    assert told.steps == 0
    assert bytes_of(resumed, tmp_path) == bytes_of(undisturbed, tmp_path)


def in_parts(folder: Path) -> Path:
    """A table in three parts of a few row groups."""
    (folder / "parts").mkdir()
    for number in range(3):
        path = folder / "parts" / f"{number}.parquet"
        pq.write_table(small_table(90 + number, seed=number), path, row_group_size=25)
    return folder / "parts"


@pytest.mark.parametrize(("members", "at"), [(1, 3), (1, 27), (2, 12)])
def test_a_streamed_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, members: int, at: int
) -> None:
    monkeypatch.setattr("selfnorm.tabular._fit.needed", lambda _: 1e15)
    monkeypatch.setattr("selfnorm.tabular.stream._budget._MOST_ROWS", 7)  # of a block
    monkeypatch.setattr("selfnorm.tabular.stream._stream.POOL_SHARE", 1e6)  # pools of 16 to 128
    how = settings(target="label", ignore=("amount",), memory=1e7, n_estimators=members)
    assert goes_on(tmp_path, in_parts(tmp_path), how, at=at, steps=2).before == at - at % 2 - (
        0 if at % 2 else 2
    )


@pytest.mark.parametrize("target", ["label", "amount"])
def test_parts_are_gone_over_again_only_if_one_was_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.setattr("selfnorm.tabular._fit.needed", lambda _: 1e15)
    other = "amount" if target == "label" else "label"
    how = settings(target=target, ignore=(other,), memory=1e7, epochs=1, n_estimators=2, test=0.2)
    parts, passes, going = in_parts(tmp_path), list[int](), Pass.run
    seen: list[Prepared] = []

    def counted(self: Pass, *how: object) -> object:
        passes.append(1)
        return going(self, *how)

    def cut() -> None:
        kept = Checkpoint(tmp_path / "c", resume=True)
        with pytest.raises(SystemExit):
            fit(parts, how, progress=Cut(1), prepared=seen.append, checkpoint=kept)

    monkeypatch.setattr(Pass, "run", counted)
    for _ in range(3):
        cut()
    assert len(passes) == 1
    first, again = seen[0], seen[-1]
    assert identity(first, how) == identity(again, how)
    assert (first.source.notes, first.test.table) == (again.source.notes, again.test.table)
    assert first.streamed.reading == again.streamed.reading
    assert np.array_equal(first.test.values, again.test.values)
    os.utime(parts / "1.parquet", (1, 1))
    cut()
    assert len(passes) == 2
    flipped = bytearray((tmp_path / "c" / "table.safetensors").read_bytes())
    flipped[-5] ^= 1
    (tmp_path / "c" / "table.safetensors").write_bytes(flipped)
    cut()
    assert len(passes) == 3


def test_trials_and_folds_that_are_done_are_not_done_again(tmp_path: Path) -> None:
    source, how = small_source("classification"), settings(epochs=1, validation=0.2)
    ready = prepare(source, how)
    tried = search(ready, Settings(epochs=1, n_estimators=1), 3)
    folds = cross_validate(source, how, 2)

    def stop(number: int, _: object) -> None:
        if number == 2:
            raise SystemExit

    def cut(resume: bool | None, done: Callable[..., object]) -> tuple[object, object]:
        with Checkpoint(tmp_path / "c", resume=resume) as kept:
            kept.begin({})
            few = Settings(epochs=1, n_estimators=1)
            found = search(ready, few, 3, done, kept.section("tuned"))
            return found, cross_validate(source, how, 2, done, kept.section("folds"))

    with pytest.raises(SystemExit):
        cut(None, stop)
    counted: list[int] = []
    with pytest.MonkeyPatch.context() as patched:
        from selfnorm.tabular import _search, _validate

        for module in (_search, _validate):
            fitting = module.fit_prepared
            patched.setattr(
                module,
                "fit_prepared",
                lambda *a, fitting=fitting, **k: (counted.append(1), fitting(*a, **k))[1],
            )
        found, validated = cut(True, lambda *_: None)
    assert found == tried
    assert validated.metrics == folds.metrics
    assert len(counted) == 1 + 2, "the third trial, and both folds"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"learning_rate": 0.02}, "settings.learning_rate was 0.01 and is 0.02"),
        ({"seed": 5}, "settings.seed was 0 and is 5"),
    ],
)
def test_a_checkpoint_of_other_settings_is_told(
    tmp_path: Path, changed: dict[str, object], told: str
) -> None:
    how = settings(target="label", ignore=("amount",))
    with pytest.raises(SystemExit):
        fit(small_table(), how, progress=Cut(4), checkpoint=by_steps(tmp_path, 2))
    other = settings(target="label", ignore=("amount",), **changed)
    with pytest.raises(CheckpointError, match=told):
        fit(small_table(), other, checkpoint=Checkpoint(tmp_path / "c", resume=True))
    table = small_table()
    cells = table["size"].to_numpy().copy()
    cells[np.flatnonzero(~np.isnan(cells))[0]] += 0.5
    table = table.set_column(table.schema.get_field_index("size"), "size", [cells])
    with pytest.raises(CheckpointError, match=r"table.contents was "):
        fit(table, how, checkpoint=Checkpoint(tmp_path / "c", resume=True))
    assert [one.suffix for one in (tmp_path / "c").iterdir()] == [".safetensors"]


def test_a_process_that_is_killed_at_random_loses_nothing() -> None:
    """In memory and streamed; SELFNORM_KILLS=20 kills it twenty times each."""
    code = "from support.killed import survive; import sys; survive(int(sys.argv[1]), 0)"
    said = run_fresh(code, KILLS)
    assert f"{KILLS} kills in memory, {KILLS} streamed: the same bytes" in said


def test_an_estimator_goes_on(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 3))
    how = SelfNormRegressor(n_estimators=2, epochs=2, infinite=False, random_state=1)
    undisturbed = clone(how).fit(rows, rows.sum(1)).predict(rows)
    with pytest.raises(SystemExit):
        clone(how).fit(rows, rows.sum(1), progress=Cut(4), checkpoint=by_steps(tmp_path, 3))
    with pytest.raises(CheckpointError, match="resume=True"):
        clone(how).fit(rows, rows.sum(1), checkpoint=tmp_path / "c")
    told = Cut()
    again = Checkpoint(tmp_path / "c", resume=True)
    resumed = clone(how).fit(rows, rows.sum(1), progress=told, checkpoint=again)
    assert told.before == 3
    assert np.array_equal(resumed.predict(rows), undisturbed)
