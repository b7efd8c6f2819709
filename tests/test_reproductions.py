"""The paper, measured again: networks, loop, store, page, with made-up data of the same shapes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reproductions import __main__ as everything
from reproductions import _families, _molecules, _paper, _since, conditions, page, since, tox21, uci
from reproductions._all import EXPERIMENTS
from reproductions._counts import Counts
from reproductions._experiment import Experiment, Table, main, measure, read
from reproductions._loop import Plan, cross_entropy, looks
from reproductions._networks import METHODS, BatchNorm, Shape, WeightNormLinear, build
from reproductions._smooth import smoothed, winner
from scipy import sparse

from selfnorm import theory
from support.pages import ROOT

TWO = Shape(inputs=5, depth=3, width=4, outputs=3, dropout=(0.0, 0.0))
TASKS = {"balloons": 16, "lung-cancer": 32}  # as in the paper, so that its figures stand beside


def draw(*sizes: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the real one, of made-up numbers."""
    folder, source = tmp_path / "data", np.random.default_rng(0)
    (folder / "uci").mkdir(parents=True)
    for name, rows in TASKS.items():
        place = np.arange(rows)
        split = {"test": place % 4 == 0, "validation": place % 4 == 1}
        masks = {key: np.repeat(mask[:, None], 4, axis=1) for key, mask in split.items()}
        X, y = source.normal(size=(rows, 3)).astype(np.float32), place % 3 % 2
        np.savez(folder / "uci" / f"{name}.npz", X=X, y=y, **masks)
    pulsars = np.column_stack([source.normal(size=(60, 8)), np.arange(60) % 2])
    np.savetxt(folder / "htru2.csv", pulsars, delimiter=",", header="names", comments="")
    (folder / "tox21").mkdir()
    for name in ("tox21.sdf.gz", "tox21_compoundData.csv"):
        (folder / "tox21" / name).touch()  # what RDKit would make of them is kept already
    monkeypatch.setattr(tox21, "CACHE", tmp_path / "molecules.npz")
    np.savez(tox21.CACHE, **_molecules._arrays(made_up(source)))
    return folder


def made_up(source: np.random.Generator, rows: int = 60) -> _molecules.Molecules:
    counts = sparse.csr_array(source.poisson(0.3, size=(rows, 12)).astype(float))
    labels = source.integers(0, 2, size=(rows, len(_molecules.TASKS))).astype(float)
    labels[source.random(labels.shape) < 0.2] = np.nan
    part = np.where(np.arange(rows) < 40, "training", "test")
    skeleton = np.array([f"{row // 2:014d}" for row in range(rows)])
    return _molecules.Molecules(counts, source.normal(size=(rows, 3)), labels, part, skeleton)


@pytest.mark.parametrize("name", METHODS)
def test_members_do_not_know_of_each_other(name: str) -> None:
    torch.manual_seed(0)
    model, x = build(METHODS[name], TWO), draw(8, 5)
    outputs = model(x)
    assert outputs.shape == (2, 8, 3)
    cross_entropy(outputs, torch.arange(8) % 3)[0].backward()
    for parameter in model.parameters():
        assert parameter.grad is not None
        assert not parameter.grad[1].any()
    assert any(parameter.grad[0].any() for parameter in model.parameters())


@pytest.mark.parametrize("name", METHODS)
def test_networks_start_with_signals_of_a_size(name: str) -> None:
    """None is mis-initialized: behind 8 layers the outputs are neither 0 nor huge."""
    torch.manual_seed(0)
    shape = Shape(64, 8, 64, 10)
    size = float(build(METHODS[name], shape)(draw(256, 64)).detach().var())
    assert 0.1 < size < 100


def test_batch_norm_is_torchs_member_by_member() -> None:
    ours, theirs = BatchNorm(2, 4), [torch.nn.BatchNorm1d(4) for _ in range(2)]
    x = draw(2, 16, 4) + 3
    for _ in range(2):
        found = ours(x)
        expected = torch.stack([one(part) for one, part in zip(theirs, x, strict=True)])
        torch.testing.assert_close(found, expected)
    ours.eval()
    expected = torch.stack([one.eval()(part) for one, part in zip(theirs, x, strict=True)])
    torch.testing.assert_close(ours(x), expected)


def test_weight_norm_keeps_rows_at_their_size() -> None:
    torch.manual_seed(0)
    layer = WeightNormLinear(2, 5, 4, gain=2.0)
    torch.testing.assert_close(layer.matrix(), layer.weight)
    layer.weight.data *= 7
    torch.testing.assert_close(layer.matrix().norm(dim=2), layer.size)


def test_each_member_goes_at_its_own_rate() -> None:
    torch.manual_seed(0)
    model, x, y = build(METHODS["SNN"], TWO), draw(12, 5), torch.arange(12) % 3
    before = [one.detach().clone() for one in model.parameters()]
    cross_entropy(model(x), y).sum().backward()
    gradients = [one.grad.clone() for one in model.parameters() if one.grad is not None]
    list(looks(model, x, y, [], Plan(rates=(0.5, 0.01), steps=1, batch=12)))
    for now, was, gradient in zip(model.parameters(), before, gradients, strict=True):
        for member, rate in enumerate((0.5, 0.01)):
            expected = was[member] - rate * gradient[member]
            torch.testing.assert_close(now[member], expected)


def test_gradients_are_clipped_member_by_member() -> None:
    torch.manual_seed(0)
    model, x, y = build(METHODS["SNN"], TWO), draw(12, 5), torch.arange(12) % 3
    model[-1].weight.data[0] *= 1000
    before = [one.detach().clone() for one in model.parameters()]
    plan = Plan(rates=(1.0, 1.0), steps=1, batch=12, clip=0.01)
    list(looks(model, x, y, [], plan))
    moved = torch.stack(
        [
            (now - was).flatten(1).square().sum(1)
            for now, was in zip(model.parameters(), before, strict=True)
        ]
    ).sum(0)
    torch.testing.assert_close(moved.sqrt(), torch.full((2,), 0.01), rtol=1e-3, atol=0)


def test_a_lost_member_leaves_the_others_alone() -> None:
    torch.manual_seed(0)
    model, x, y = build(METHODS["MSRAinit"], TWO), draw(32, 5), torch.arange(32) % 3
    seen = list(looks(model, x, y, [x], Plan(rates=(1e30, 0.1), steps=20, batch=32, every=5)))
    assert len(seen) == 4
    assert seen[-1].outputs[0][1].isfinite().all()
    assert seen[-1].loss[1] < seen[0].loss[1]
    everyone = Plan(rates=(1e30, 1e30), steps=20, batch=32, every=5)
    assert len(list(looks(build(METHODS["MSRAinit"], TWO), x, y, [x], everyone))) < 4


def test_counts_are_standardized_without_being_dense() -> None:
    found = made_up(np.random.default_rng(1))
    training = found.part == "training"
    rows = Counts.of(found.counts, found.dense, training)
    table = np.concatenate([found.counts.toarray(), found.dense], axis=1)
    normal = (table - table[training].mean(0)) / table[training].std(0)
    weight, bias = draw(2, 4, rows.width), draw(2, 4, seed=1)
    chosen = torch.tensor([3, 3, 50, 0])
    expected = torch.from_numpy(normal).float()[chosen] @ weight.mT + bias[:, None]
    torch.testing.assert_close(rows[chosen].times(weight, bias), expected, rtol=1e-4, atol=1e-5)


def test_a_constant_column_of_counts_counts_for_nothing() -> None:
    counts = sparse.csr_array(np.array([[2.0, 1.0], [2.0, 0.0], [5.0, 0.0]]))
    rows = Counts.of(counts, np.ones((3, 1)), np.array([True, True, False]))
    only_constant = torch.tensor([[[1.0, 0.0, 1.0]]])
    assert not rows.times(only_constant, torch.zeros(1, 1)).any()


def test_the_best_look_is_by_a_smooth_curve() -> None:
    validation = np.array([[0.0], [0.9], [0.0], [0.0], [0.5], [0.6], [0.6], [0.6], [0.6]])
    test = np.arange(9.0)[:, None]
    found = smoothed(np.stack([validation, test], axis=1))
    assert found == {"validated": [0.58], "tested": [8.0], "look": [8]}
    assert winner({"validated": [0.1, 0.3], "tested": [0.9, 0.2]}) == (0.3, 0.2)


def fake(log: list[int], stop_at: int | None = None) -> Experiment:
    def run(job: dict[str, Any], _: Path) -> dict[str, Any]:
        if job["number"] == stop_at:
            raise KeyboardInterrupt
        log.append(job["number"])
        return {"found": job["number"] ** 2}

    return Experiment(
        "fake", lambda *_: [{"number": k} for k in range(4)], run,
        lambda records: [Table("Squares:", ["a"], [[str(one["found"])] for one in records])],
        needs=("numbers.csv",), source="It is published nowhere.",
    )  # fmt: skip


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    log: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        measure(fake(log, stop_at=2), "short", tmp_path, tmp_path)
    assert measure(fake(log), "short", tmp_path, tmp_path) == 2
    assert log == [0, 1, 2, 3]
    assert [one["found"] for one in read(tmp_path / "fake.json")["runs"]] == [0, 1, 4, 9]
    assert measure(fake(log), "short", tmp_path, tmp_path) == 0


def test_what_jobs_share_is_made_once_before_them(tmp_path: Path) -> None:
    log: list[int] = []
    experiment = replace(fake(log), prepare=lambda _: log.append(-1))
    measure(experiment, "short", tmp_path, tmp_path)
    assert log == [-1, 0, 1, 2, 3]
    measure(experiment, "short", tmp_path, tmp_path)
    assert log == [-1, 0, 1, 2, 3]


def test_what_jobs_took_is_processor_time_where_that_is_known(tmp_path: Path) -> None:
    measure(fake([]), "short", tmp_path, tmp_path)
    records = read(tmp_path / "fake.json")["runs"]
    assert all(one["processor"] >= 0 for one in records)
    assert page.spent([{"processor": 45.0}, {"processor": 45.0}]) == (
        "1.5 minutes of processor time"
    )
    assert page.spent([{"processor": 45.0, "seconds": 60}, {"seconds": 60}]).startswith(
        "2 minutes of one process on machines that did other work"
    )


def test_missing_data_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(fake([]), "about", ["--data", str(tmp_path)])
    assert stopped.value.code == 2
    told = capsys.readouterr().err
    assert f"{tmp_path} has no numbers.csv. It is published nowhere." in told
    assert everything.main(["--quick", "--only", "htru2", "--data", str(tmp_path)]) == 2
    assert "htru2 is left out" in capsys.readouterr().out


def test_a_missing_package_is_named(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    tox21.table.cache_clear()
    tox21.CACHE.unlink()
    (data / "tox21" / "tox21_compoundData.csv").write_text("sdftitle\n")
    arguments = ["--quick", "--data", str(data), "--results", str(tmp_path)]
    assert everything.main([*arguments, "--only", "tox21"]) == 2
    told = "It needs the package rdkit, which is not installed: pip install 'selfnorm[paper]'."
    assert told in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        main(EXPERIMENTS["tox21"], "about", arguments)
    assert stopped.value.code == 2
    assert f"tox21: {told}" in capsys.readouterr().err


def test_an_unknown_experiment_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        everything.main(["--only", "cifar"])
    assert stopped.value.code == 2
    assert "no experiment cifar; there are ['depth', 'uci'," in capsys.readouterr().err


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_fills_its_place(
    name: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = ("shaped, kept", "SELU, orthogonal start, Muon", "Derf", "standardization", "TAT")
    ways = {way: one for way, one in since.WAYS.items() if any(part in way for part in some)}
    monkeypatch.setattr(since, "WAYS", ways)
    few = ("nothing", "plain dropout, .5", "bfloat16")
    monkeypatch.setattr(conditions, "STARTS", {one: conditions.STARTS[one] for one in few})
    arguments = ["--quick", "--only", name, "--data", str(data), "--results", str(tmp_path)]
    assert everything.main(arguments) == 0
    records = read(tmp_path / f"{name}.json")["runs"]
    assert {**records[0]["job"]} in EXPERIMENTS[name].jobs("quick", data)
    filled = page.render(f"<!-- {name} -->\nold\n<!-- end -->\n<!-- other -->\nstays\n", tmp_path)
    assert "\nold\n" not in filled
    assert "| --- |" in filled
    assert "stays" in filled
    assert page.render(filled, tmp_path) == filled
    for picture in EXPERIMENTS[name].pictures(records):
        assert page.small(picture.draw()).startswith(b"\x89PNG")


def test_every_experiment_has_its_place_on_the_page() -> None:
    text = (ROOT / "docs" / "paper.md").read_text()
    for name in EXPERIMENTS:
        assert f"<!-- {name} -->" in text


def test_forms_share_no_result_that_differs(data: Path) -> None:
    """A result's key has all that a form decides on, so a larger form takes no smaller one's."""
    for experiment in EXPERIMENTS.values():
        short, full = (experiment.jobs(form, data) for form in ("short", "full"))
        assert len({repr(sorted(job.items())) for job in full}) == len(full)
        shared = [job for job in short if job in full]
        assert all("start" in job or "preset" in job for job in shared)  # no form decides on these


def test_ranks_stand_as_in_the_paper() -> None:
    """The paper's own accuracies of the 56 tasks at hand put the SNN first, too."""
    table = _paper.table("A11")
    scores = {name: np.array([row[name] for row in table.values()]) for name in METHODS}
    found = uci.standings(scores)
    assert len(table) == 56
    assert min(found, key=lambda name: found[name].rank) == "SNN"
    assert sum(one.rank for one in found.values()) == pytest.approx(0)
    assert found["SNN"].p == 1.0


def test_families_are_ranked_where_all_tasks_are_measured() -> None:
    tasks = [("iris", 0), ("zoo", 0)]
    scores = {
        "all": dict.fromkeys(tasks, 0.9),
        "also": {tasks[0]: 0.5, tasks[1]: 0.9},
        "one": {tasks[0]: 1.0},
    }
    assert _families.ranked(scores, tasks) == _families.Ranked(2, {"all": 1.25, "also": 1.75})
    assert _families.ranked(scores, []).ranks == {}
    table = _families.table({("zoo", 0): dict.fromkeys(METHODS, 0.0)})
    assert table is not None
    lines = {line[0]: line for line in table.rows}
    assert lines["SNN"][1] == "9.6"
    assert lines["SNN"][3] == "5.8"
    assert lines["SVM"][1] == "9.3"
    assert lines[_families.DEFAULT][4], "larger tasks are ranked without the networks"


def test_only_tasks_that_are_whole_are_compared() -> None:
    grid = {"width": 8, "steps": 1, "batch": 8, "dropout": False}
    records = [
        {
            "job": {"task": task, "split": 0, "method": name, "depth": depth, **grid},
            "validated": [0.5, 0.1 * depth],
            "tested": [0.25 * (name == "SNN"), 0.75],
        }
        for task in ("iris", "zoo") for name in METHODS for depth in (2, 8)
    ]  # fmt: skip
    found = uci.chosen(records[:-1])
    assert list(found) == [("iris", 0)]
    assert set(found["iris", 0].values()) == {0.75}  # the deeper one validates better
    ranks, claims, *_ = uci.tables(records[:-1])
    assert ranks.title.startswith("1 tasks, 1 splits; depths 2, 8")
    assert claims.rows[0][2].startswith("does not hold")


def test_auc_is_of_known_labels_and_lost_networks_have_none() -> None:
    labels = torch.tensor([[0.0, 1.0], [1.0, torch.nan], [torch.nan, 1.0], [1.0, 1.0]])
    said = torch.tensor([[0.1, 0.0], [0.2, 0.0], [-9.0, 0.0], [0.05, 0.0]])
    assert tox21.mean_auc(labels, said) == 0.5  # of the second task all are 1
    assert tox21.mean_auc(labels, said * torch.nan) == 0.0
    loss = tox21.known_loss(said[None], labels)
    assert loss.isfinite().all()
    moved = said.clone()
    moved[2, 0] = 100.0
    assert torch.equal(tox21.known_loss(moved[None], labels), loss)


def test_an_ensemble_stands_beside_its_networks(data: Path) -> None:
    tox21.table.cache_clear()
    same = {"depth": 2, "width": 8, "steps": 4, "dropout": False, "method": "SNN"}
    job = {"together": tox21.FOLDS, **same}
    record = tox21.run(job, data)
    assert len(record["alone"]) == tox21.FOLDS
    assert all(0 < one < 1 for one in (record["tested"], *record["alone"]))
    [table] = tox21.tables([{"job": job, **record}])
    assert table.title.startswith("5 networks, each with another fold left out")
    assert table.rows[0][2] == f"**{100 * record['tested']:.1f}**"


def test_molecules_of_one_skeleton_share_a_fold(data: Path) -> None:
    tox21.table.cache_clear()
    found, fold = tox21.table(data)
    assert len(np.unique(fold)) == tox21.FOLDS
    for skeleton in np.unique(found.skeleton):
        assert len(set(fold[found.skeleton == skeleton])) == 1


def test_fragments_that_few_molecules_have_are_left_out() -> None:
    training = np.arange(40) < 30
    fragments = [{"often": 2, **({"seldom": 1} if row > 20 else {})} for row in range(40)]
    found = _molecules.matrix(fragments, training)
    assert found.shape == (40, 1)
    assert found.toarray().ravel() == pytest.approx(np.full(40, np.log(3)))
    dense = _molecules.clean([[1.0, np.nan], [2.0, 4.0], [np.inf, 6.0]])
    assert np.isfinite(dense).all()


def test_tailored_activations_reach_their_correlation() -> None:
    """By the theory's integrals, which know nothing of the closed form."""
    depth = 16
    made = _since.tailored(depth)

    def function(x: np.ndarray) -> np.ndarray:
        return made(torch.from_numpy(np.asarray(x, dtype=np.float64))).numpy()

    mean, variance = map(float, theory.moments(activation=function))
    assert mean**2 + variance == pytest.approx(1, rel=1e-3)
    cosine = 0.0
    for _ in range(depth):
        found = theory.correlation_map(cosine, activation=function)
        cosine = min(mean**2 + variance * found, 1.0)
    assert cosine == pytest.approx(0.9, rel=1e-3)
    assert float(_since.tailored(2)(torch.tensor(-1.0))) == 0, "few layers are ReLU's"


def test_muons_steps_are_nearly_orthogonal() -> None:
    steps = _since.orthogonalized(draw(2, 12, 5))
    values = torch.linalg.svdvals(steps)
    assert values.min() > 0.5
    assert values.max() < 1.5


@pytest.mark.parametrize(
    "name", ["plain dropout, .5", "residual sum, not scaled", "means of two units"]
)
def test_what_is_foretold_is_what_is_measured(name: str) -> None:
    """Mean squares of 256 units are known to a sixteenth or so; layer 4 adds up four of them."""
    torch.manual_seed(0)
    start = replace(conditions.STARTS[name], width=256)
    found = conditions.started(start)
    bound = 4 * (2 * 4 / start.width) ** 0.5
    ratios = np.array(found["measured"][:3]) / np.array(found["foretold"][:3])
    assert abs(ratios - 1).max() < bound


def test_an_estimator_learns_labels_of_which_some_are_unknown(data: Path) -> None:
    tox21.table.cache_clear()
    record = tox21.run({"preset": "fast", "seed": 0}, data)
    assert all(0 < record[of] < 1 for of in ("tested", "left_out"))
    [table] = tox21.tables([{"job": {"preset": "fast"}, "seconds": 90, **record}])
    assert "the paper's best network has 84.5" in table.title
    told = [f"**{100 * record['tested']:.1f}**", f"{100 * record['left_out']:.1f}"]
    assert table.rows == [["fast", *told, "2"]]
