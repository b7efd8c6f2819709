"""Rows that are read ahead into pools: each once an epoch, and what the thread raises is raised."""

import threading

import pytest
import torch

from selfnorm.training import Rows, Streamed
from selfnorm.training._ahead import ahead


def read(rows: int, block: int = 7, members: int | None = None):
    """Blocks of so many rows, whose inputs are their numbers."""

    def blocks(seed: int):
        numbers = torch.arange(rows, dtype=torch.float32)
        for few in numbers.split(block):
            weights = None if members is None else few[:, None] + torch.arange(members) / 10
            yield Rows(few[:, None], few, weights)

    return blocks


@pytest.mark.parametrize("rows", [1, 6, 33, 100])
@pytest.mark.parametrize("pool", [8, 64])
def test_each_row_comes_once_an_epoch_in_as_many_steps_as_told(rows: int, pool: int) -> None:
    batches = Streamed(read(rows), rows, size=4, pool=pool)
    seen = list(batches.epoch(torch.Generator().manual_seed(0)))
    assert len(seen) == batches.steps
    assert max(map(len, seen)) == batches.largest <= 4
    assert sorted(torch.cat([one.targets for one in seen]).tolist()) == list(range(rows))


def test_the_same_generator_gives_the_same_epochs_and_each_has_its_own_order() -> None:
    def epochs() -> list[list[float]]:
        generator = torch.Generator().manual_seed(1)
        batches = Streamed(read(50), 50, size=8, pool=64)
        return [torch.cat([b.targets for b in batches.epoch(generator)]).tolist() for _ in range(2)]

    first, second = epochs()
    assert [first, second] == epochs()
    assert first != second


def test_each_member_has_an_order_of_its_own_and_its_own_weights() -> None:
    batches = Streamed(read(60, members=3), 60, size=8, pool=32, members=3)
    seen = list(batches.epoch(torch.Generator().manual_seed(0)))
    targets = torch.cat([one.targets for one in seen])
    assert targets.shape == (60, 3)
    for member in range(3):
        assert sorted(targets[:, member].tolist()) == list(range(60))
    assert not (targets[:, 0] == targets[:, 1]).all()
    for one in seen:
        assert torch.equal(one.weights, one.targets + torch.arange(3) / 10)
        assert torch.equal(one.inputs[..., 0], one.targets)


def test_fewer_rows_than_told_end_the_epoch() -> None:
    batches = Streamed(read(20), 40, size=4, pool=16)
    seen = torch.cat([one.targets for one in batches.epoch(torch.Generator().manual_seed(0))])
    assert sorted(seen.tolist()) == list(range(20))


def test_what_the_thread_raises_is_raised_here_after_what_came_before() -> None:
    def broken():
        yield 1
        raise OSError("the disk is gone")

    items = ahead(broken())
    assert next(items) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(items)


def test_the_thread_ends_when_nobody_wants_more() -> None:
    before = threading.active_count()
    items = ahead(iter(range(10**9)))
    assert next(items) == 0
    assert threading.active_count() == before + 1
    items.close()
    assert threading.active_count() == before


def test_waiting_is_told() -> None:
    waits: list[float] = []
    assert list(ahead(iter("abc"), waited=waits.append)) == ["a", "b", "c"]
    assert len(waits) == 4
    assert all(wait >= 0 for wait in waits)


def test_a_member_passes_over_rows_that_it_leaves_out() -> None:
    count, members, size = 96, 3, 8
    left_out = torch.zeros(count, members, dtype=torch.bool)
    for member in range(members):
        left_out[member::4, member] = True  # a quarter of each, others of another
    rows = Rows(torch.arange(float(count))[:, None], torch.zeros(count), (~left_out).float())
    batches = Streamed(lambda _: iter([rows]), count, size, 32, members, left_out=0.25)
    epoch = list(batches.epoch(torch.Generator().manual_seed(0)))
    assert len(epoch) == batches.steps == count * 3 // 4 // size + 1
    assert max(map(len, epoch)) <= batches.largest
    assert all((batch.weights == 1).all() for batch in epoch)
    for member in range(members):
        seen = torch.cat([batch.inputs[:, member, 0] for batch in epoch]).long()
        assert len(set(seen.tolist())) == len(seen) > 0.9 * count * 3 / 4  # all take the fewest
        assert not left_out[seen, member].any()
    few = Streamed(lambda _: iter([rows.map(lambda one: one[:4])]), 4, 8, 32, 3, left_out=0.25)
    whole = Streamed(lambda _: iter([rows.map(lambda one: one[:1])]), 1, 8, 32, 3, left_out=0.25)
    assert [len(batch) for batch in few.epoch(None)] == [3]
    assert [len(batch) for batch in whole.epoch(None)] == [1]  # of which one member leaves it out


@pytest.mark.parametrize("pool", [4, 7, 20, 63, 64, 1000])
@pytest.mark.parametrize("rows", [1, 3, 20, 63, 500, 1001])
def test_pools_are_of_whole_mini_batches(rows: int, pool: int) -> None:
    batches = Streamed(lambda _: iter([]), rows, 4, pool)
    sizes = batches._sizes()
    assert sum(sizes) == rows
    assert max(sizes) <= max(pool, 4)
    assert batches.steps <= -(-rows // 4) + 1
    assert batches.largest <= 4
