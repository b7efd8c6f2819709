"""What memory is allowed is dealt out, and less than a table takes is told."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selfnorm.tabular import Settings
from selfnorm.tabular.stream._budget import FEWEST_BATCHES, POOL_SHARE, SAMPLE_SHARE, Budget
from selfnorm.tabular.stream._parts import open_parts
from selfnorm.tabular.stream._prepare import prepare_parts
from support.tables import settings, small_parts

COLUMNS = 20


def written(path: Path, rows: int, groups: int) -> Path:
    rng = np.random.default_rng(0)
    pq.write_table(
        pa.table({f"x{at}": rng.normal(size=rows) for at in range(COLUMNS)}),
        path,
        row_group_size=-(-rows // groups),
        use_dictionary=False,
        compression="none",
    )
    return path


@pytest.mark.parametrize("sharing", [1, 4])
@pytest.mark.parametrize("memory", [1e5, 1e7, 1e8, 1e9])
def test_readers_and_rows_are_within_what_is_allowed(
    memory: float, sharing: int, tmp_path: Path
) -> None:
    parts = open_parts([written(tmp_path / "0.parquet", 50_000, 5)])
    found = Budget.of(parts, Settings(target="x0"), memory, features=9, sharing=sharing)
    row = COLUMNS * (8 + 4 * 9)
    assert found.memory == max(memory, found.least)
    assert found.readers % sharing == 0
    assert found.rest == found.memory - found.readers * parts[0].held
    pool = max(found.rest / POOL_SHARE, FEWEST_BATCHES * 256 * row)
    assert 3 * pool + 4 * found.rest / SAMPLE_SHARE < 1.001 * found.rest
    assert 256 <= found.rows <= 8192
    assert found.rows * row < 1.001 * found.rest / 16
    assert (found.told(memory) == "") == (found.least <= memory)


def test_what_a_reader_holds_is_known_by_the_largest_group(tmp_path: Path) -> None:
    few, many = (written(tmp_path / f"{rows}.parquet", rows, 2) for rows in (2_000, 800_000))
    held = [part.held for part in open_parts([few, many])]
    assert 2 * 1_000 * 8 < held[0] / COLUMNS < 2 * 1_000 * 8 + 40_000
    assert held[1] == COLUMNS * 2_500_000  # a page and a dictionary, however many rows there are


def test_less_than_the_least_is_told_and_the_least_is_taken(tmp_path: Path) -> None:
    files = sorted(small_parts(tmp_path, 240, groups=40).iterdir())
    how = settings(target="label", ignore=["amount"])
    few, much = (prepare_parts(files, None, how, memory, "Why.") for memory in (1e3, 1e8))
    assert few.streamed is not None
    assert much.streamed is not None
    wanted = r"Why\. That takes \S+ [kM]B at the least, which are taken instead of 1 kB\."
    assert re.fullmatch(wanted, few.streamed.told)
    assert few.streamed.memory > 1e5
    assert much.streamed.told == "Why."
