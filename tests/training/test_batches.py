"""The rows of an epoch: each once, in a new order from the given generator, in even batches."""

import pytest
import torch

from selfnorm.training import Folded, Rows, Shuffled


def numbered(rows: int) -> Rows:
    """Rows whose only input is their number, and whose target is ten times that."""
    numbers = torch.arange(rows, dtype=torch.float32)[:, None]
    return Rows(numbers, 10 * numbers)


def order(batches: Shuffled, generator: torch.Generator | None) -> list[int]:
    return [int(row) for batch in batches.epoch(generator) for row in batch.inputs]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_every_row_comes_once_an_epoch_in_the_generators_order() -> None:
    batches, generator, reference = Shuffled(numbered(50), 8), seeded(3), seeded(3)
    epochs = [order(batches, generator) for _ in range(3)]
    assert epochs == [torch.randperm(50, generator=reference).tolist() for _ in range(3)]
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in [*epochs, range(50)]}) == 4


def test_a_given_generator_leaves_torchs_alone() -> None:
    state = torch.get_rng_state()
    order(Shuffled(numbered(50), 8), seeded(0))
    assert torch.equal(torch.get_rng_state(), state)


def test_without_a_generator_the_order_is_torchs() -> None:
    torch.manual_seed(7)
    found = order(Shuffled(numbered(50), 8), None)
    assert found == torch.randperm(50, generator=seeded(7)).tolist()


def test_targets_stay_with_their_rows() -> None:
    for batch in Shuffled(numbered(50), 8).epoch(seeded(1)):
        assert torch.equal(batch.targets, 10 * batch.inputs)


def test_weights_stay_with_their_rows() -> None:
    rows = numbered(50)
    weighed = Rows(rows.inputs, rows.targets, 3 * rows.inputs[:, 0])
    for batch in Shuffled(weighed, 8).epoch(seeded(1)):
        assert batch.weights is not None
        assert torch.equal(batch.weights, 3 * batch.inputs[:, 0])
    for batch in Folded(weighed, None, 3, 8).epoch(seeded(1)):
        assert batch.weights is not None
        assert torch.equal(batch.weights, 3 * batch.inputs[..., 0])


@pytest.mark.parametrize(
    ("rows", "size", "sizes"),
    [
        (50, 8, [8, 7, 7, 7, 7, 7, 7]),
        (33, 16, [11, 11, 11]),
        (64, 16, [16] * 4),
        (5, 16, [5]),
        (3, 1, [1, 1, 1]),
    ],
)
def test_batches_are_of_even_size(rows: int, size: int, sizes: list[int]) -> None:
    batches = Shuffled(numbered(rows), size)
    assert [len(batch) for batch in batches.epoch(seeded(0))] == sizes
    assert (batches.steps, batches.largest) == (len(sizes), sizes[0])
