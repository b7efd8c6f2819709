"""One of two processes that share a model's weights; `tests/init/test_sharded.py` starts both."""

import torch
from torch import distributed, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Replicate, Shard, distribute_tensor, init_device_mesh

from selfnorm.init import initialize_, lecun_normal_


def network() -> nn.Sequential:
    """Sizes that two processes cannot halve evenly."""
    return nn.Sequential(nn.Linear(5, 7), nn.Conv1d(7, 3, 2), nn.LSTM(3, 5), nn.LayerNorm(5))


def main(rank: int, store: str) -> None:
    """Initialize sharded and whole models from one seed, and compare."""
    files = distributed.FileStore(store, 2)
    distributed.init_process_group("gloo", store=files, rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    with torch.device("meta"):
        sharded = network()
    for layer in sharded:
        fully_shard(layer, mesh=mesh)
    fully_shard(sharded, mesh=mesh)
    sharded.to_empty(device="cpu")
    # The second process draws other numbers: those of the first count.
    initialize_(sharded, exact=True, generator=torch.Generator().manual_seed(rank))
    whole = initialize_(network(), exact=True, generator=torch.Generator().manual_seed(0))
    for (name, part), value in zip(sharded.named_parameters(), whole.parameters(), strict=True):
        assert part.to_local().numel() < part.numel(), name
        assert torch.equal(part.full_tensor(), value), name
    for placement in (Shard(1), Replicate()):
        weight = distribute_tensor(torch.zeros(3, 5), mesh, [placement])
        lecun_normal_(weight, generator=torch.Generator().manual_seed(rank))
        expected = lecun_normal_(torch.zeros(3, 5), generator=torch.Generator().manual_seed(0))
        assert torch.equal(weight.full_tensor(), expected)
        assert not isinstance(placement, Replicate) or torch.equal(weight.to_local(), expected)
    distributed.barrier()
    distributed.destroy_process_group()
