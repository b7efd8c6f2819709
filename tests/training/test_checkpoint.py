"""Checkpoints: what goes on from one has the bits of an undisturbed training, whatever happened."""

import errno
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import selfnorm
from selfnorm import training
from selfnorm.errors import ArgumentError, CheckpointError, SelfNormWarning
from selfnorm.training import (
    Checkpoint,
    Folded,
    History,
    Options,
    Placed,
    Progress,
    Rows,
    Shuffled,
    Streamed,
)
from selfnorm.training import _pace as pace
from selfnorm.training._batches import rest_of
from selfnorm.training._pace import Pace
from selfnorm.training._snapshot import DamagedError, Snapshot, read_snapshot, write_snapshot

OPTIONS = Options(epochs=4, batch_size=16, learning_rate=1e-2, patience=3)
STEPS = 4 * 5  # of 70 rows
State = dict[str, Tensor]


class Cut(Progress):
    """Ends the process, or what a test has of one, behind so many mini-batches."""

    def __init__(self, at: int | None = None, error: type[BaseException] = SystemExit) -> None:
        self.at, self.error, self.steps, self.before = at, error, 0, 0

    def resumed(self, steps: int) -> None:
        self.before = steps

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.at:
            raise self.error


def rows(count: int = 70) -> Rows:
    inputs = torch.randn(count, 3, generator=torch.Generator().manual_seed(0))
    return Rows(inputs, inputs.sum(1, keepdim=True))


def train(
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
    *,
    weights: str = "lecun",
    options: Options = OPTIONS,
    seed: int | None = 1,
    batches: training.Batches | None = None,
) -> tuple[State, History]:
    """A training with dropout, whose masks come from a generator of their own."""
    if seed is None:
        torch.manual_seed(3)
    model = selfnorm.nn.MLP(
        *(3, 1), width=8, depth=2, dropout=0.2, weights=weights, generator=torch.Generator()
    )
    drawn = torch.Generator().manual_seed(2)
    for module in model.modules():
        if isinstance(module, selfnorm.nn.SELUAlphaDropout):
            module.generator = drawn
    history = training.fit(
        model,
        batches or Shuffled(rows(), 16),
        rows(20),
        loss=nn.functional.mse_loss,
        options=replace(options, keep_orthogonal=weights == "orthogonal"),
        generator=None if seed is None else torch.Generator().manual_seed(seed),
        progress=progress or Progress(),
        checkpoint=checkpoint,
    )
    return model.state_dict(), history


def by_steps(folder: Path, steps: int = 3) -> Checkpoint:
    """A checkpoint that no time makes due."""
    return Checkpoint(folder, every=1e9, steps=steps, resume=True)


def cut(folder: Path, at: int, steps: int = 3, **how: object) -> None:
    """A training that ends behind so many mini-batches."""
    with pytest.raises(SystemExit):
        train(by_steps(folder, steps), Cut(at), **how)


def assert_same(one: tuple[State, History], other: tuple[State, History]) -> None:
    for name, value in one[0].items():
        assert torch.equal(value, other[0][name]), name
    first, second = (
        [replace(epoch, seconds=0) for epoch in history.epochs] for history in (one[1], other[1])
    )
    assert first == second
    assert (one[1].stop, one[1].best.number) == (other[1].stop, other[1].best.number)


@pytest.mark.parametrize("weights", ["lecun", "orthogonal"])
@pytest.mark.parametrize("at", [2, 5, 13, STEPS])
def test_what_goes_on_has_the_bits_of_an_undisturbed_one(
    tmp_path: Path, weights: str, at: int
) -> None:
    """Cut before the first write, at the end of an epoch, within one, and behind the last."""
    cut(tmp_path / "c", at, steps=5 if at == 5 else 3, weights=weights)
    told = Cut()
    resumed = train(Checkpoint(tmp_path / "c", resume=True), told, weights=weights)
    assert_same(train(weights=weights), resumed)
    assert told.before == {2: 0, 5: 0, 13: 12, STEPS: 18}[at]
    assert told.steps == STEPS - told.before
    assert not (tmp_path / "c").exists()


def test_it_may_be_cut_again_and_again(tmp_path: Path) -> None:
    for _ in range(5):
        cut(tmp_path, 4, steps=3)
    assert_same(train(), train(Checkpoint(tmp_path, resume=True)))


def test_torchs_default_generator_goes_on_too(tmp_path: Path) -> None:
    cut(tmp_path, 8, seed=None)
    assert_same(train(seed=None), train(Checkpoint(tmp_path, resume=True), seed=None))


def test_patience_goes_on(tmp_path: Path) -> None:
    """Of a rate at which the loss rises, so that the best epoch is an early one."""
    options = replace(OPTIONS, epochs=12, learning_rate=0.5, patience=2)
    undisturbed = train(options=options)
    assert undisturbed[1].stop == "patience"
    cut(tmp_path, 5 * len(undisturbed[1].epochs) - 2, options=options)
    assert_same(undisturbed, train(Checkpoint(tmp_path, resume=True), options=options))


def test_members_go_on_each_with_its_own_order(tmp_path: Path) -> None:
    def all_of(batches: Folded, steps: int) -> list[Rows]:
        return list(rest_of(batches, torch.Generator().manual_seed(4), steps, None))

    left_out = torch.rand(70, 3, generator=torch.Generator().manual_seed(0)) < 0.3
    batches = Folded(rows(), left_out, 3, 16)
    for one, other in zip(all_of(batches, 0)[2:], all_of(batches, 2), strict=True):
        assert torch.equal(one.inputs, other.inputs)


class Read:
    """Blocks of seven rows; who reads on from a place reads nothing before it."""

    def __init__(self, count: int) -> None:
        self.blocks, self.read = list(range(0, count, 7)), list[int]()

    def __call__(self, _: int, place: int | None = None):
        rows_of = rows(70)
        for at in self.blocks[place or 0 :]:
            self.read.append(at)
            yield Placed(rows_of.map(lambda one, at=at: one[at : at + 7]), at // 7 + 1)


@pytest.mark.parametrize("at", [1, 5, 9, 13])
def test_a_stream_goes_on_where_it_was_and_reads_nothing_twice(tmp_path: Path, at: int) -> None:
    def batches(read: Read) -> Streamed:
        return Streamed(read, 70, size=8, pool=30)

    undisturbed = train(batches=batches(Read(70)))
    cut(tmp_path, at, steps=1, batches=batches(Read(70)))
    read, told = Read(70), Cut()
    assert_same(undisturbed, train(Checkpoint(tmp_path, resume=True), told, batches=batches(read)))
    assert told.before == at - 1
    # Pools are of 8, 8, 16, 15 and 23 rows, so of 1, 1, 2, 2 and 3 steps; blocks are of 7 rows.
    assert read.read[0] == {1: 0, 5: 14, 9: 42, 13: 14}[at]


def test_a_stream_that_tells_no_place_goes_on_too(tmp_path: Path) -> None:
    def batches() -> Streamed:
        return Streamed(lambda _: iter([rows()]), 70, size=8, pool=30)

    cut(tmp_path, 7, steps=1, batches=batches())
    assert_same(
        train(batches=batches()), train(Checkpoint(tmp_path, resume=True), batches=batches())
    )


def test_ctrl_c_keeps_the_best_epoch_and_the_checkpoint(tmp_path: Path) -> None:
    told = Cut(13, KeyboardInterrupt)
    _, history = train(by_steps(tmp_path), told)
    assert (history.stop, len(history.epochs)) == ("interrupted", 2)
    assert_same(train(), train(Checkpoint(tmp_path, resume=True)))


def test_whoever_asks_for_the_end_gets_it_behind_a_mini_batch_that_is_kept(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, every=1e9)

    class Asks(Cut):
        def step(self) -> None:
            super().step()
            if self.steps == 7:
                assert checkpoint.ask(SystemExit(143))
                assert not checkpoint.ask(SystemExit(143)), "who asks twice cannot wait"

    assert not checkpoint.ask(SystemExit(143)), "nothing is under way"
    told = Asks()
    with pytest.raises(SystemExit) as ended:
        train(checkpoint, told)
    assert (ended.value.code, told.steps) == (143, 7)
    again = Cut()
    assert_same(train(), train(Checkpoint(tmp_path, resume=True), again))
    assert again.before == 7


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("training-*"))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)


def rename_a_tensor(path: Path) -> None:
    path.write_bytes(
        path.read_bytes().replace(b"training/model/linear1", b"training/model/linear9")
    )


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("harm", [truncate, flip, rename_a_tensor, empty])
def test_a_damaged_one_is_passed_over_for_the_one_before(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    cut(tmp_path, 11)
    _, newer = files(tmp_path)
    harm(newer)
    told = Cut()
    with pytest.warns(SelfNormWarning, match=rf"passed over, as it is damaged.*{newer.name}"):
        resumed = train(Checkpoint(tmp_path, resume=True), told)
    assert told.before == 6
    assert_same(train(), resumed)


def test_where_all_are_damaged_it_starts_anew_and_says_so(tmp_path: Path) -> None:
    cut(tmp_path, 5)
    (only,) = files(tmp_path)
    truncate(only)
    told = Cut()
    with pytest.warns(SelfNormWarning, match="passed over"):
        assert_same(train(), train(Checkpoint(tmp_path, resume=True), told))
    assert told.before == 0


def test_no_power_between_writing_and_renaming(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced = Path.replace

    def stop(self: Path, target: Path) -> Path:
        if target.name.endswith("003.safetensors"):
            shutil.copy(self, f"{self}.left")  # what is removed on the way out
            raise SystemExit
        return replaced(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", stop)
        with pytest.raises(SystemExit):
            train(by_steps(tmp_path))
    (left,) = tmp_path.glob(".*.left")
    left.rename(str(left).removesuffix(".left"))
    with by_steps(tmp_path):
        assert [path.name[0] for path in sorted(tmp_path.iterdir())] == ["l", "t", "t"]
    told = Cut()
    assert_same(train(), train(Checkpoint(tmp_path, resume=True), told))
    assert told.before == 6
    assert not tmp_path.exists()


def test_a_full_disk_is_told_and_the_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class Fills(Cut):
        def step(self) -> None:
            super().step()
            monkeypatch.setattr(os, "fsync", full if self.steps > 8 else fsync)

    with pytest.warns(SelfNormWarning, match=r"No space left on device.*The training goes on"):
        finished = train(by_steps(tmp_path / "one"), Fills())
    assert_same(train(), finished)
    with pytest.warns(SelfNormWarning, match="No space left"), pytest.raises(SystemExit):
        train(by_steps(tmp_path / "two"), Fills(11))
    monkeypatch.setattr(os, "fsync", fsync)
    assert sorted((tmp_path / "two").iterdir()) == files(tmp_path / "two")
    told = Cut()
    assert_same(train(), train(Checkpoint(tmp_path / "two", resume=True), told))
    assert told.before == 6


def test_a_small_disk_holds_what_fits_and_no_damaged_file(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    asked = [mount or "mount", "-t", "tmpfs", "-o", "size=48k", "selfnorm-test", str(disk)]
    if mount is None or subprocess.run(asked, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        with pytest.warns(SelfNormWarning, match="No space left"), pytest.raises(SystemExit):
            train(by_steps(disk / "c"), Cut(14))
        kept = files(disk / "c")
        assert kept
        for path in kept:
            read_snapshot(path)
        assert not list((disk / "c").glob(".*"))
        assert_same(train(), train(Checkpoint(disk / "c", resume=True)))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_two_are_kept_and_no_other_process_enters(tmp_path: Path) -> None:
    class Looks(Cut):
        def step(self) -> None:
            super().step()
            assert len(files(tmp_path)) <= 2
            told = f"process {os.getpid()} on {socket.gethostname()} writes into"
            with pytest.raises(CheckpointError, match=rf"One program at a time.*{told}"):
                Checkpoint(tmp_path, resume=True).__enter__()

    train(by_steps(tmp_path, 1), Looks())
    assert not list(tmp_path.iterdir()), "a folder that was there empty stays"


@pytest.mark.parametrize("locks", [True, False], ids=["flock", "no flock"])
def test_the_lock_of_a_process_that_has_ended_is_nobodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locks: bool
) -> None:
    fcntl = pytest.importorskip("fcntl")
    if not locks:

        def refuse(*_: object) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", refuse)
    ended = subprocess.Popen(["true"])
    ended.wait()
    here = socket.gethostname()
    (tmp_path / "lock").write_text(json.dumps({"pid": ended.pid, "host": here}))
    with Checkpoint(tmp_path):
        assert json.loads((tmp_path / "lock").read_text()) == {"pid": os.getpid(), "host": here}
    if not locks:
        for told in ({"pid": os.getpid(), "host": here}, {"pid": 1, "host": "another"}):
            tmp_path.mkdir(exist_ok=True)
            (tmp_path / "lock").write_text(json.dumps(told))
            with pytest.raises(CheckpointError, match=f"process {told['pid']} on {told['host']}"):
                Checkpoint(tmp_path).__enter__()


def test_what_is_there_is_neither_written_over_nor_gone_on_from_unless_asked(
    tmp_path: Path,
) -> None:
    cut(tmp_path, 8)
    before = files(tmp_path)
    with pytest.raises(CheckpointError, match=r"was cut off has left a checkpoint.*--resume"):
        train(Checkpoint(tmp_path))
    assert files(tmp_path) == before
    told = Cut()
    train(Checkpoint(tmp_path, resume=False), told)
    assert (told.before, told.steps) == (0, STEPS)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"options": replace(OPTIONS, epochs=5)}, "options.epochs was 4 and is 5"),
        ({"weights": "orthogonal"}, "options.keep_orthogonal was False and is True"),
        ({"batches": Shuffled(rows(), 35)}, "mini-batches was 5 and is 2"),
    ],
)
def test_a_checkpoint_of_another_training_is_told(
    tmp_path: Path, changed: dict[str, object], told: str
) -> None:
    cut(tmp_path, 8)
    before = files(tmp_path)
    with pytest.raises(CheckpointError, match=rf"the same table, settings.*{told}.*--no-resume"):
        train(Checkpoint(tmp_path, resume=True), **changed)
    assert files(tmp_path) == before


def test_a_checkpoint_of_another_version_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut(tmp_path, 8)
    monkeypatch.setattr("selfnorm.training._loop.version", lambda package: f"{package} 99")
    with pytest.raises(CheckpointError, match=r"versions.selfnorm was .* and is 'selfnorm 99'"):
        train(Checkpoint(tmp_path, resume=True))


def test_a_longer_time_limit_is_the_same_training(tmp_path: Path) -> None:
    cut(tmp_path, 8, options=replace(OPTIONS, time_limit=1000))
    told = Cut()
    train(Checkpoint(tmp_path, resume=True), told, options=replace(OPTIONS, time_limit=2000))
    assert told.before == 6


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"a folder that can be written to.*Name another"):
        train(Checkpoint(tmp_path / "file" / "c"))


@pytest.mark.parametrize(("name", "value"), [("every", -1), ("every", "1h"), ("steps", 0)])
def test_the_pace_is_a_number(name: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=rf"{name} .*; {value!r} came. Try {name}="):
        Checkpoint(tmp_path, **{name: value})


class Clock:
    """Time that goes on when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(pace.time, "monotonic", lambda: self.now)


@pytest.mark.parametrize("cost", [0.01, 0.3, 20.0])
def test_writing_takes_less_than_a_hundredth_of_the_time(
    monkeypatch: pytest.MonkeyPatch, cost: float
) -> None:
    """Also where the size told nothing; and as often as that allows, but for 3 seconds."""
    clock, steps, written = Clock(monkeypatch), 0, []
    paced = Pace(None, None)
    while clock.now < 100.0 + 20 * max(3, 200 * cost):
        clock.now, steps = clock.now + 0.05, steps + 1
        if paced.step(int(1e8 * cost)):
            written.append(clock.now)
            clock.now += cost
            paced.wrote(cost)
    assert 16 <= len(written) <= 20
    assert paced.spent <= 0.005 * (clock.now - 100.0)


def test_it_may_be_written_every_so_many_seconds_or_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    by_time, by_steps = Pace(10, None), Pace(1e9, 4)
    clock.now += 9
    assert not by_time.due(0)
    clock.now += 1
    assert by_time.due(0)
    assert [by_steps.step(0) for _ in range(4)] == [False, False, False, True]
    by_steps.wrote(0.1)
    assert not by_steps.step(0)


def test_a_snapshot_is_read_as_it_was_written(tmp_path: Path) -> None:
    tensors = {
        "half": torch.ones(3, 2, dtype=torch.bfloat16),
        "number": torch.tensor(2.5, dtype=torch.float64),
        "none": torch.zeros(0, 4),
        "turned": torch.arange(6.0).reshape(2, 3).T,
        "flags": torch.tensor([True, False]),
    }
    record = {"least": float("inf"), "loss": 0.1 + 0.2, "text": "\u00e9"}
    write_snapshot(tmp_path / "s", Snapshot(tensors, record))
    found = read_snapshot(tmp_path / "s")
    assert found.record == record
    assert found.tensors.keys() == tensors.keys()
    for name, one in tensors.items():
        assert found.tensors[name].dtype == one.dtype
        assert torch.equal(found.tensors[name], one)
    with pytest.raises(DamagedError, match="No such file"):
        read_snapshot(tmp_path / "other")
