"""The benchmark on tables: what it makes of made-up results, and that it can be stopped."""

import json
from argparse import Namespace
from functools import cache, partial
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks import table
from benchmarks.tabular import __main__ as command
from benchmarks.tabular import (
    ablations,
    judge,
    methods,
    picture,
    ranks,
    runs,
    scores,
    tasks,
    variants,
)
from benchmarks.tabular._given import Given
from benchmarks.tabular._worker import Run, Setting, measure
from benchmarks.tabular.standings import Judgement
from benchmarks.tabular.standings import judge as judged
from sklearn.dummy import DummyClassifier

from selfnorm import SelfNormClassifier

THREE = ("selfnorm", "forest", "kernel")


def result(run: Run, accuracy: float | None, log_loss: float | None = None) -> dict[str, Any]:
    failed = "broken" if accuracy is None else None
    found = dict.fromkeys(scores.NAMES) | {
        "accuracy": accuracy,
        "log_loss": log_loss,
        "ece": log_loss,
    }
    times = {"seconds_fit": 2.0, "seconds_predict": 1.0}
    return {**vars(run), **found, **times, "error": failed, "threads": 1, "versions": {"a": "1"}}


@pytest.fixture
def made_up() -> ranks.Records:
    """Three tasks of two splits; of the last one the kernel has no second split."""
    accuracies = {
        "one": {"selfnorm": (0.9, 0.7), "forest": (0.8, 0.8), "kernel": (0.5, 0.5)},
        "two": {"selfnorm": (0.6, 0.6), "forest": (0.5, None), "kernel": (0.7, 0.7)},
        "three": {"selfnorm": (0.9, 0.0), "forest": (0.8, 1.0), "kernel": (0.7,)},
    }
    records = {}
    for task, by_method in accuracies.items():
        for method, values in by_method.items():
            for split, value in enumerate(values):
                loss = None if method == "kernel" or value is None else 1 - value
                records[Run(method, task, split)] = result(Run(method, task, split), value, loss)
    return records


@pytest.fixture
def found(made_up: ranks.Records) -> Judgement:
    judgement = judged(made_up, THREE, ("one", "two", "three", "four"), "development", "accuracy")
    assert judgement is not None
    return judgement


def test_ties_share_their_ranks_and_failures_are_last() -> None:
    values = np.array([[0.9, 0.9, 0.5], [0.1, np.nan, 0.2], [np.nan, 0.3, np.nan]])
    expected = [[1.5, 1.5, 3], [2, 3, 1], [2.5, 1, 2.5]]
    np.testing.assert_array_equal(ranks.ranks(values, most_first=True), expected)
    np.testing.assert_array_equal(ranks.ranks(values, most_first=False)[0], [2.5, 2.5, 1])


def test_only_splits_count_that_all_have(found: Judgement) -> None:
    assert found.splits == {"one": [0, 1], "two": [0, 1], "three": [0]}
    np.testing.assert_allclose(found.scores, [[0.8, 0.8, 0.5], [0.6, np.nan, 0.7], [0.9, 0.8, 0.7]])


def test_standings(found: Judgement) -> None:
    by_name = {one.method: one for one in found.standings}
    assert [one.method for one in found.standings] == ["selfnorm", "forest", "kernel"]
    ours, forest, kernel = (by_name[name] for name in THREE)
    assert (ours.rank, forest.rank, kernel.rank) == pytest.approx((4.5 / 3, 6.5 / 3, 7 / 3))
    assert ours.score == pytest.approx(0.85)  # the forest failed on "two"
    assert (ours.wins, forest.wins, kernel.wins) == (2, 1, 1)
    assert (ours.behind, forest.behind, kernel.behind) == pytest.approx((1 / 3, 2 / 3, 2 / 3))
    assert (ours.failures, forest.failures) == (0, 1)
    assert ours.seconds == 6.0  # 2 s a fit
    assert kernel.loss_rank is None
    assert forest.loss_rank == pytest.approx((1.5 + 2 + 2) / 3)
    assert ours.p is None
    assert forest.p is not None


def test_no_two_methods_share_a_split(made_up: ranks.Records) -> None:
    assert judged(made_up, THREE, ["four"], "judged", "accuracy") is None
    assert judged(made_up, THREE[:1], ["one"], "judged", "accuracy") is None


def test_the_critical_difference_is_that_of_the_source() -> None:
    assert ranks.critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)  # Demsar, page 12


def test_equal_methods_do_not_differ() -> None:
    same = np.array([0.5, 0.6, np.nan])
    assert ranks.signed_rank(same, same) == 1.0
    assert ranks.signed_rank(np.arange(10.0), np.arange(10.0) - 1) < 0.01


def test_calibration_error() -> None:
    confidence = np.array([0.95, 0.95, 1.0, 0.5])
    right = np.array([True, False, True, False])
    # one bin from 14/15 on: 2.9 expected, 2 right; another holds .5 and nothing right
    assert scores.calibration_error(confidence, right) == pytest.approx((0.9 + 0.5) / 4)


def test_halves_take_turns_by_rows() -> None:
    assert tasks.halves({"c": 10, "b": 20, "a": 20, "d": 5}) == {
        "d": "development",
        "c": "judged",
        "a": "development",
        "b": "judged",
    }


def test_the_page_takes_the_tables(
    found: Judgement, made_up: ranks.Records, tmp_path: Path
) -> None:
    tables = {"tables": [judge.summary(found)], "by_task": [judge.by_task(found)]}
    judge.write(tmp_path / "tabular.json", made_up, tables)
    page = table.render("<!-- tabular -->\nold\n<!-- end -->\n", tmp_path)
    assert "| **selfnorm** | 1.50 | 0.8500 | 1.17 | 0.150 | 6 s | 33% | 2 |  | 0 |" in page
    assert "Development: 3 tasks, 5 splits." in page
    assert "1 threads" in page
    assert "a 1" in page
    assert tables["by_task"][0]["rows"][1] == ["two", "0.6000", "", "0.7000"]


def test_variants_are_compared_in_pairs(made_up: ranks.Records) -> None:
    names = {"selfnorm": "default", "forest": "depth=2"}
    records = {}
    for run, record in made_up.items():
        if run.method in names:
            records[Run(names[run.method], run.task, run.split)] = record
    (row,) = ablations.compare(records, ["one", "three"], "accuracy")
    assert row[:5] == ["depth=2", "2", "+0.2250 ± 0.2250", "1", "0"]
    assert row[-1] == "1.00"


OTHERS = [name for name in variants.VARIANTS if "=" not in name and name != variants.DEFAULT]


@cache
def told_by(name: str, infinite: bool) -> np.ndarray:
    """What a variant says of a table in which nothing is certain."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 3))
    y = X[:, 0] * X[:, 1] + rng.normal(size=90) > 0
    given = {"random_state": 0, "epochs": 6, "infinite": infinite}
    return variants.VARIANTS[name](SelfNormClassifier, given).fit(X, y).predict_proba(X)


@pytest.mark.parametrize("name", OTHERS)
def test_a_variant_says_something_else(name: str) -> None:
    """With networks of infinite width or without, as either may be all that counts."""
    apart = []
    for infinite in (False, True):
        found = told_by(name, infinite)
        assert np.isfinite(found).all()
        apart.append(np.abs(found - told_by(variants.DEFAULT, infinite)).max())
    assert max(apart) > 1e-6


def test_labels_do_not_collide(found: Judgement) -> None:
    (axes,) = picture.ranks_by_time(found).axes
    axes.figure.draw_without_rendering()
    boxes = [one.get_window_extent() for one in axes.texts]
    assert [one.get_text() for one in axes.texts] == [one.method for one in found.standings]
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])


class Here:
    """A worker without a process."""

    def __init__(self, setting: Setting, _: float | None) -> None:
        self.run: Run | None = None
        self.connection, self._other = Pipe()
        self._setting = setting

    def give(self, run: Run) -> None:
        self.run = run
        self._other.send("ready")

    def left(self) -> None:
        return None

    def look(self) -> dict[str, Any]:
        self.connection.recv()
        assert self.run is not None
        record, self.run = measure(self.run, self._setting), None
        return record

    def stop(self) -> None:
        self.connection.close()
        self._other.close()


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Namespace:
    """Four tasks, and a method that cannot learn from the largest."""
    for rows in (8, 12, 16, 20):
        y = np.arange(rows) % 2
        test = np.stack([np.arange(rows) % 4 == k for k in range(4)], 1)
        np.savez(
            tmp_path / f"t{rows}.npz",
            X=np.ones((rows, 2), np.float32),
            y=y,
            test=test,
            validation=np.roll(test, 1, 0),
        )

    def fit(given: Given) -> Any:
        if len(given.y) == 12:
            raise RuntimeError("too many")
        assert given.validation.sum() == len(given.y) / 3
        return DummyClassifier().fit(given.X, given.y)

    monkeypatch.setitem(methods.METHODS, "stub", methods.Method(fit))
    monkeypatch.setattr(runs, "carry_out", partial(runs.carry_out, start=Here))
    monkeypatch.setattr(runs, "limit_threads", lambda _: None)
    return Namespace(
        data=tmp_path,
        half="development",
        tasks=(),
        methods=("stub",),
        splits=(0, 2),
        most_rows=None,
        threads=1,
        jobs=1,
        time_limit=None,
        again=None,
    )


def test_it_goes_on_where_it_stopped(options: Namespace, tmp_path: Path) -> None:
    file = tmp_path / "stub.jsonl"
    command.measure(options, tmp_path)
    whole = file.read_text()
    records = [json.loads(line) for line in whole.splitlines()]
    assert [(one["task"], one["split"]) for one in records] == [
        ("t8", 0),
        ("t16", 0),
        ("t8", 2),
        ("t16", 2),
    ]
    assert records[0]["error"] is None
    assert records[0]["accuracy"] is not None
    assert records[1]["error"] == "RuntimeError: too many"
    assert records[1]["accuracy"] is None
    command.measure(options, tmp_path)
    assert file.read_text() == whole, "all is there"
    file.write_text(whole[:-10])  # killed while it wrote
    command.measure(options, tmp_path)
    lines = file.read_text().splitlines()
    assert len(lines) == 5
    assert len(runs.read(tmp_path, ["stub"])) == 4
    options.again = "failed"
    command.measure(options, tmp_path)
    assert len(file.read_text().splitlines()) == 7
    assert not (tmp_path / "looks.jsonl").exists()


def test_a_look_at_the_judged_half_is_noted(options: Namespace, tmp_path: Path) -> None:
    options.half = "all"
    command.measure(options, tmp_path)
    (look,) = [json.loads(line) for line in (tmp_path / "looks.jsonl").read_text().splitlines()]
    assert look["methods"] == ["stub"]
    assert look["what"] == "run"
    assert look["commit"]


def test_what_is_not_there_is_said(
    options: Namespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="in a folder that --data names"):
        tasks.choose(tasks.catalog(tmp_path / "none"), "development")
    with pytest.raises(SystemExit, match="No such task: t9"):
        tasks.choose(tasks.catalog(tmp_path), names=["t9"])
    methods.METHODS["stub"] = methods.Method(lambda _: None, ("no_such_package",))
    command.measure(options, tmp_path)
    assert "stub is left out: no_such_package is not installed." in capsys.readouterr().out
