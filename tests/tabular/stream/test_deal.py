"""Row groups are dealt so that each row is read by one process, and by one alone."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from selfnorm.errors import ArgumentError, SelfNormWarning, TableError
from selfnorm.tabular._distribution import Distribution
from selfnorm.tabular._prepared import Prepared
from selfnorm.tabular.data._files import files_of
from selfnorm.tabular.stream import _budget, _stream
from selfnorm.tabular.stream._prepare import prepare_parts
from selfnorm.tabular.stream._reading import Reading
from selfnorm.training import Processes
from selfnorm.training._dealt import Dealt
from support.tables import settings

ROWS = 600


def written(folder: Path, groups: int) -> Path:
    """A table whose target tells the row, in a file of so many groups."""
    rows = np.arange(float(ROWS))
    table = pa.table({"a": rows % 7, "y": rows + 0.25})
    pq.write_table(table, folder / "0.parquet", row_group_size=-(-ROWS // groups))
    return folder


def prepared(folder: Path, processes: Processes, **changes: object) -> Prepared:
    files = files_of(folder)
    assert files is not None
    how = settings(target="y", distribute="rows", **changes)
    return prepare_parts(files, None, how, 1e8, "told", Distribution(processes, "rows"))


def learned(ready: Prepared, processes: Processes) -> list[list[int]]:
    """The rows that each slice of a process has in an epoch."""
    batches = ready.batches(settings().options)
    assert isinstance(batches, Dealt)
    each: list[list[int]] = [[] for _ in processes.slices]
    generator = torch.Generator().manual_seed(0)
    count = 0
    for batch in batches.slices(generator, processes.slices, processes.number_of_slices):
        count += 1
        for rows, part in zip(each, batch.parts, strict=True):
            said = part.targets.numpy().ravel() * ready.target.deviation + ready.target.mean
            rows.extend(np.round(said - 0.25).astype(int).tolist())
    assert count == batches.steps
    return each


@pytest.mark.parametrize("groups", [12, 1])
@pytest.mark.parametrize("validation", [0.2, 0.0])
def test_each_row_is_in_one_slice_of_an_epoch(
    groups: int, validation: float, tmp_path: Path
) -> None:
    folder, alone = written(tmp_path, groups), Processes()
    context = pytest.warns(SelfNormWarning, match="each group is read by all")
    if groups == 1:
        with context:
            ready = prepared(folder, alone, validation=validation)
    else:
        ready = prepared(folder, alone, validation=validation)
    slices = learned(ready, alone)
    rows = [row for one in slices for row in one]
    judged = [] if ready.judged is None else np.round(ready.judged.values - 0.25).astype(int)
    assert len(judged) == round(validation * ROWS)
    assert ready.streamed is not None
    assert list(ready.streamed.lane_rows) == list(map(len, slices))
    assert sorted([*rows, *judged]) == list(range(ROWS))
    assert max(map(len, slices)) < 1.3 * ROWS / 4
    for rank in range(2):  # who has half of the slices reads the same rows for them
        two = Processes(rank, 2)
        assert learned(ready, two) == slices[2 * rank : 2 * rank + 2]


@pytest.mark.parametrize("members", [1, 3])
def test_an_epoch_goes_on_where_it_was_and_reads_nothing_before(
    members: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes leave their places at the first; one, or two, go on from there."""
    monkeypatch.setattr(_budget, "_MOST_ROWS", 10)
    monkeypatch.setattr(_stream, "POOL_SHARE", 10**9)  # pools as small as they may be
    alone = Processes()
    how = {"validation": 0.2, "n_estimators": members, "infinite": False, "batch_size": 8}
    ready = prepared(written(tmp_path, 12), alone, **how)
    options = settings(**how).options
    read, count = Reading._known, list[int]()
    monkeypatch.setattr(Reading, "_known", lambda *given: (count.append(1), read(*given))[1])

    def rest(steps: int, places: dict[str, object], processes: Processes) -> list[torch.Tensor]:
        batches, order = ready.batches(options), torch.Generator().manual_seed(0)
        assert isinstance(batches, Dealt)
        count.clear()
        mine = processes.slices
        each = batches.rest_of_slices(order, mine, 4, steps, places)
        return [part.targets for batch in each for part in batch.parts]

    each, places = [], dict[str, object]()
    for at in (0, 1, 9, 30, 60):
        each = [ready.batches(options) for _ in range(2)]
        places.clear()
        for rank, batches in enumerate(each):
            assert isinstance(batches, Dealt)
            order = torch.Generator().manual_seed(0)
            began = batches.slices(order, Processes(rank, 2).slices, 4)
            for _ in zip(range(at), began, strict=False):
                pass
            began.close()
            places.update(batches.places)
        whole = rest(0, {}, alone)
        blocks = len(count)
        found = rest(at, places, alone)
        assert all(torch.equal(*two) for two in zip(found, whole[4 * at :], strict=True))
        assert len(count) <= blocks * (1 - at / batches.steps) + 4 * 6
        second = rest(at, places, Processes(1, 2))
        both = [whole[4 * step + part] for step in range(at, batches.steps) for part in (2, 3)]
        assert all(torch.equal(*two) for two in zip(second, both, strict=True))
    assert batches.steps >= 60


def test_fewer_rows_than_slices_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1.0, 2, 3], "y": [0.5, 1.5, 2.5]}), tmp_path / "0.parquet")
    with pytest.raises(ArgumentError, match="are 4 or more; the table has 3"):
        prepared(tmp_path, Processes(), validation=0.0)


def test_a_damaged_part_is_left_out_by_all_or_ends_the_pass(tmp_path: Path) -> None:
    written(tmp_path, 12)
    table = pa.table({"a": np.arange(400.0), "y": np.arange(400.0)})
    pq.write_table(table, tmp_path / "1.parquet", row_group_size=100, compression="none")
    content = bytearray((tmp_path / "1.parquet").read_bytes())
    content[40:1200] = b"\0" * 1160
    (tmp_path / "1.parquet").write_bytes(content)
    with pytest.raises(TableError, match=r"1\.parquet' cannot be read"):
        prepared(tmp_path, Processes())
    with pytest.warns(SelfNormWarning, match=r"left out\. .*1\.parquet"):
        ready = prepared(tmp_path, Processes(), on_error="skip")
    assert ready.source.values.max() < ROWS
    assert ready.rows + len(ready.validation or ()) == ROWS
