"""Several processes go on from a checkpoint: the same model, bit for bit; gloo, on this machine."""

from pathlib import Path

import pytest
import torch

from selfnorm.errors import ArgumentError
from selfnorm.tabular import fit
from selfnorm.training import Checkpoint, Processes
from support.fresh import run_fresh
from support.resumed_together import AT, CASES
from support.tables import small_parts, small_table
from support.tolerances import PROCESSES

JOB = "import sys, warnings; warnings.simplefilter('ignore'); from pathlib import Path\n"
JOB += "from support import resumed_together; resumed_together.main(Path(sys.argv[1]))"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which processes left what they got."""
    folder = tmp_path_factory.mktemp("resumed")
    small_parts(folder, 240, groups=20)
    run_fresh(JOB, folder, OMP_NUM_THREADS="1")
    assert (folder / "codes").read_text() == "[[0, 0], [0]]"
    return folder


@pytest.mark.parametrize("name", CASES)
def test_what_was_cut_off_goes_on_with_the_same_bits(name: str, done: Path) -> None:
    for rank in range(2):
        undisturbed, resumed, (code, cut, before, behind) = torch.load(done / f"{name}-{rank}.pt")
        assert all(torch.equal(*two) for two in zip(undisturbed, resumed, strict=True))
        asked = name == "members"  # of one process; all end behind that mini-batch or soon after
        assert (code, before) == (143, cut) if asked else (7, AT - AT % 3)
        assert behind > 0
    assert not (done / f"kept {name}").exists()


@pytest.mark.parametrize("name", ["rows", "streamed rows"])
def test_one_process_goes_on_with_rows_that_two_have_shared(name: str, done: Path) -> None:
    found, before = torch.load(done / f"{name}-alone.pt")
    assert before == AT - AT % 3
    for one, two in zip(found, torch.load(done / f"{name}-0.pt")[0], strict=True):
        torch.testing.assert_close(one, two, rtol=PROCESSES, atol=PROCESSES)


def test_members_go_on_in_as_many_processes(done: Path) -> None:
    told = (done / "members-alone").read_text()
    assert "distribution.by was 'members' and is None" in told
    assert "distribution.processes was 2 and is None" in told


def test_a_checkpoint_is_of_the_processes_that_train(tmp_path: Path) -> None:
    of_two = Checkpoint(tmp_path / "c", processes=Processes(1, 2))
    with pytest.raises(ArgumentError, match=r"it is of 2, and 1 train\. Make it by Checkpoint"):
        fit(small_table(), next(iter(CASES.values()))[0], checkpoint=of_two)


def test_who_is_started_again_by_torchrun_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Checkpoint(tmp_path / "c").resume is None
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "1")
    for count, resume in (("0", False), ("2", True)):
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", count)
        assert Checkpoint(tmp_path / "c", resume=False).resume is resume
