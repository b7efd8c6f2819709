"""Several processes train the model that one trains, and end together; gloo, on this machine."""

import ast
from pathlib import Path

import pytest
import torch

from selfnorm.errors import ArgumentError
from selfnorm.tabular._distribution import Distribution
from selfnorm.training import Processes
from support.fresh import run_fresh
from support.tables import settings, small_parts
from support.together import PAIRS
from support.tolerances import PROCESSES

JOB = "import sys, warnings; warnings.simplefilter('ignore'); from pathlib import Path\n"
JOB += "from support import together; together.main(Path(sys.argv[1]))"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which processes left what they got."""
    folder = tmp_path_factory.mktemp("together")
    small_parts(folder, 240, groups=40)
    run_fresh(JOB, folder, OMP_NUM_THREADS="1")
    return folder


def codes(folder: Path) -> dict[str, list[int]]:
    return ast.literal_eval((folder / "codes").read_text())


@pytest.mark.parametrize(("name", "streamed"), PAIRS)
def test_more_processes_give_the_same_model(name: str, streamed: bool, done: Path) -> None:
    """To rounding; and the same bits in each, orthogonal weights too."""
    one = torch.load(done / f"{name}-{streamed}-1-0.pt")
    for size in (2,) if name == "members" else (2, 4):
        each = [torch.load(done / f"{name}-{streamed}-{size}-{rank}.pt") for rank in range(size)]
        for value, others in zip(one, zip(*each, strict=True), strict=True):
            torch.testing.assert_close(others[0], value, rtol=PROCESSES, atol=PROCESSES)
            assert all(torch.equal(others[0], other) for other in others[1:])


def test_all_end_well(done: Path) -> None:
    assert codes(done)["train 2"] == [0, 0]
    assert codes(done)["train 4"] == [0, 0, 0, 0]


def test_an_error_in_one_ends_all_and_is_told_by_all(done: Path) -> None:
    assert codes(done)["fail"] == [2, 2]
    assert (done / "failed-1").read_text() == "'part1.parquet' is damaged."
    told = (done / "failed-0").read_text()
    assert "process 1 ended: 'part1.parquet' is damaged." in told


def test_a_process_that_is_gone_ends_all(done: Path) -> None:
    assert codes(done)["vanish"] == [2, 9]
    assert "one ended, or was not heard of in time" in (done / "vanished").read_text()


def test_the_first_process_alone_writes_and_prints(done: Path) -> None:
    assert codes(done)["command"] == [0, 0]
    said = (done / "said-0").read_text()
    assert "Training by 2 processes, which spread the networks." in said
    assert said.count("Wrote") == 1
    assert not (done / "said-1").read_text()
    assert (done / "model" / "config.toml").exists()


def test_members_are_spread_where_there_are_enough() -> None:
    two = Processes(rank=1, size=2)
    assert Distribution.of(settings(n_estimators=4), two).by == "members"
    assert list(Distribution.of(settings(n_estimators=5), two).mine(5) or ()) == [2, 3, 4]
    assert Distribution.of(settings(n_estimators=1), two).by == "rows"
    assert Distribution.of(settings(n_estimators=2), Processes(0, 3)).by == "rows"
    assert Distribution.of(settings(n_estimators=4), Processes()).by is None
    with pytest.raises(ArgumentError, match=r"4 processes came for 2\. Distribute rows"):
        Distribution.of(settings(n_estimators=2, distribute="members"), Processes(0, 4))
    with pytest.raises(ArgumentError, match=r"recorded where one process trains; 2 do"):
        Distribution.of(settings(monitor=10), two)
