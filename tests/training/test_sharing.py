"""What a process computes of a mini-batch that others share."""

import pytest
import torch
from torch import nn

from selfnorm.nn import MLP
from selfnorm.training import Processes, Rows, SharedRows, Shuffled
from selfnorm.training._batches import Folded, Slices
from selfnorm.training._sharing import NotShared
from support.tolerances import WITHOUT_TORCH

LOSS = nn.functional.mse_loss


def rows(count: int = 50) -> Rows:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 6, generator=generator)
    return Rows(inputs, inputs.sum(1, keepdim=True), torch.rand(count, generator=generator))


def weighed(outputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return ((outputs - targets).square().squeeze(-1) * weights).mean()


def gradients(model: nn.Module) -> list[torch.Tensor]:
    return [parameter.grad.clone() for parameter in model.parameters()]


def test_slices_have_the_gradients_of_the_whole_mini_batch() -> None:
    """Also where they are not even; the loss is the mean over its rows, by their weights."""
    model = MLP(6, 1, width=16, depth=2)
    batches = Shuffled(rows(), 30)
    seeds = [torch.Generator().manual_seed(1) for _ in range(2)]
    shared, alone = SharedRows(), NotShared()
    for whole, parts in zip(
        alone.epoch(batches, seeds[0]), shared.epoch(batches, seeds[1]), strict=True
    ):
        assert len(parts) == len(whole) == 25
        assert [len(part) for part in parts.parts] == [7, 6, 6, 6]
        model.zero_grad()
        expected = alone.learn(model, whole, weighed), gradients(model)
        model.zero_grad()
        loss, found = shared.learn(model, parts, weighed), gradients(model)
        torch.testing.assert_close(loss, expected[0], rtol=WITHOUT_TORCH, atol=WITHOUT_TORCH)
        torch.testing.assert_close(found, expected[1], rtol=WITHOUT_TORCH, atol=WITHOUT_TORCH)


@pytest.mark.parametrize("size", [2, 4])
def test_each_process_has_its_slices_with_their_masks(size: int) -> None:
    """What processes would sum is what one has, dropout too."""
    masks = torch.Generator()
    model = MLP(6, 1, width=16, depth=2, dropout=0.2)
    for module in model:
        if hasattr(module, "generator"):
            module.generator = masks
    batches = Shuffled(rows(), 50)

    def summed(rank: int, count: int) -> list[torch.Tensor]:
        shared = SharedRows(_Silent(rank, count), masks)
        (batch,) = shared.epoch(batches, torch.Generator().manual_seed(1))
        assert isinstance(batch, Slices)
        shared.learn(model, batch, weighed)
        mine = sum(len(part) for part in batch.parts)
        return [gradient * (mine / 50) for gradient in gradients(model)]

    expected = summed(0, 1)
    each = [summed(rank, size) for rank in range(size)]
    found = [sum(parts) for parts in zip(*each, strict=True)]
    torch.testing.assert_close(found, expected, rtol=WITHOUT_TORCH, atol=WITHOUT_TORCH)


def test_each_slice_of_each_step_has_masks_of_its_own() -> None:
    """And the same ones again from the same seed."""
    masks, seen = torch.Generator(), list[torch.Tensor]()

    class Dropping(nn.Linear):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            seen.append(torch.rand(len(inputs), generator=masks))
            return super().forward(inputs)

    model, batches = Dropping(6, 1), Shuffled(rows(16), 16)
    for _ in range(2):
        shared, generator = SharedRows(masks=masks), torch.Generator().manual_seed(0)
        for _ in range(2):
            (batch,) = shared.epoch(batches, generator)
            shared.learn(model, batch, weighed)
    (batch,) = shared.epoch(batches, None)
    shared.learn(model, batch, weighed)
    first, again = seen[:8], seen[8:16]
    assert all(torch.equal(*two) for two in zip(first, again, strict=True))
    assert len({tuple(mask.tolist()) for mask in first}) == 8


class _Silent(Processes):
    """One of several that adds nothing to its own."""

    def add(self, values: torch.Tensor) -> torch.Tensor:
        return values


def test_members_that_are_trained_here_have_the_orders_that_they_have_with_all() -> None:
    inputs = torch.arange(20.0)[:, None]
    left_out = torch.zeros(20, 3, dtype=torch.bool)
    left_out[[1, 5, 6], [0, 1, 1]] = True
    seeds = [torch.Generator().manual_seed(2) for _ in range(2)]
    whole = Folded(Rows(inputs, inputs), left_out, 3, 6)
    some = Folded(Rows(inputs, inputs), left_out, 3, 6, range(1, 3))
    assert whole.steps == some.steps
    for one, other in zip(whole.epoch(seeds[0]), some.epoch(seeds[1]), strict=True):
        assert torch.equal(one.inputs[:, 1:], other.inputs)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 8])
def test_shares_are_all_and_none_twice(size: int) -> None:
    each = [Processes(rank, size) for rank in range(size)]
    count = each[0].number_of_slices
    assert count == {1: 4, 2: 4, 3: 3, 4: 4, 8: 8}[size]
    assert [one for process in each for one in process.slices] == list(range(count))
    assert [one for process in each for one in process.share(10)] == list(range(10))
