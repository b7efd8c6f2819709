"""What memory is allowed is dealt out, and less than a table takes is told."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selfnorm.tabular import Settings
from selfnorm.tabular.stream._budget import (
    _ONCE,
    FEWEST_BATCHES,
    POOL_SHARE,
    SAMPLE_SHARE,
    Budget,
    counted_of,
)
from selfnorm.tabular.stream._learning import learning
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
    counted = _ONCE + sum(map(counted_of, parts[0].schema.types))
    training = found.readers * parts[0].held + found.networks
    assert found.rest == found.memory - max(training, parts[0].held + counted)
    pool = max(found.rest / POOL_SHARE, FEWEST_BATCHES * 256 * row)
    assert 3 * pool + 4 * found.rest / SAMPLE_SHARE < 1.001 * found.rest
    assert 256 <= found.rows <= 8192
    assert found.rows * row < 1.001 * found.rest / 8
    assert (found.told(memory) == "") == (found.least <= memory)


def test_what_a_reader_holds_is_known_by_the_largest_group(tmp_path: Path) -> None:
    few, many = (written(tmp_path / f"{rows}.parquet", rows, 2) for rows in (2_000, 800_000))
    held = [part.held for part in open_parts([few, many])]
    assert 2 * 1_000 * 8 < held[0] / COLUMNS < 2 * 1_000 * 8 + 40_000
    assert held[1] == COLUMNS * 2_800_000  # a page and a dictionary, however many rows there are


def test_less_than_the_least_is_told_and_the_least_is_taken(tmp_path: Path) -> None:
    files = sorted(small_parts(tmp_path, 240, groups=40).iterdir())
    how = settings(target="label", ignore=["amount"])
    few, much = (prepare_parts(files, None, how, memory, "Why.") for memory in (1e3, 1e8))
    assert few.streamed is not None
    assert much.streamed is not None
    wanted = (
        r"Why\. That takes \S+ [kM]B at the least, which are taken instead of 1 kB: the networks"
    )
    assert re.match(wanted, few.streamed.told)
    assert few.streamed.memory > 1e5
    assert much.streamed.told == "Why."


def test_networks_count_and_are_told_where_they_alone_take_more(tmp_path: Path) -> None:
    parts = open_parts([written(tmp_path / "0.parquet", 5_000, 5)])
    few, many = (Settings(target="x0", n_estimators=n, batch_size=64) for n in (2, 4))
    weights = 4 * 2 * (41 * 128 + 2 * 129 * 128 + 129 * 2)
    layers = 4 * 64 * 2 * (40 + 3 * 128)
    assert learning(few, 5_000, 40) == 16 * weights + 3 * layers + 2 * 10**7
    assert learning(many, 5_000, 40) == 2 * (16 * weights + 3 * layers) + 2 * 10**7
    best = Settings(target="x0", n_estimators=2, batch_size=64, preset="best")
    deep = 4 * 2 * (41 * 128 + 7 * 129 * 128 + 129 * 2)
    assert learning(best, 5_000, 40) == (
        16 * deep + 2 * weights + 3 * 4 * 64 * 2 * (40 + 8 * 128) + 2 * 10**7
    )
    wide = Settings(target="x0", width=4096, depth=3, n_estimators=4)
    found = Budget.of(parts, wide, 1e9, features=1)
    assert found.least > found.networks > 1e9
    words = (
        r" That takes 8\.\d GB at the least, which are taken instead of 1 GB: the networks alone "
    )
    assert re.match(words + r"take 8\.\d GB with their optimizer", found.told(1e9))
    allowed = 1.01 * found.networks
    assert "networks" not in found.told(min(allowed, found.least - 1))
    assert found.told(found.least) == ""


def test_texts_are_counted_as_what_a_dictionary_of_them_takes() -> None:
    assert counted_of(pa.string()) == counted_of(pa.dictionary(pa.int32(), pa.string()))
    assert counted_of(pa.string()) > 5 * counted_of(pa.float64())
