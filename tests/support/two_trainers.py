"""One of two processes that train a model; `tests/optim/test_processes.py` starts both."""

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from selfnorm.optim import keep_orthogonal


def main(rank: int, store: str) -> None:
    """Train on halves of the same batches, and compare the weights of both."""
    files = distributed.FileStore(store, 2)
    distributed.init_process_group("gloo", store=files, rank=rank, world_size=2)
    torch.manual_seed(rank)  # what is kept is made the same by the wrapper
    layers = [nn.Linear(8, 12), nn.SELU(), nn.Linear(12, 12), nn.SELU(), nn.Linear(12, 1)]
    model = DistributedDataParallel(nn.Sequential(*layers))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    kept = keep_orthogonal(optimizer, model)
    assert kept.names == ["module.0.weight", "module.2.weight"]
    for _ in range(30):
        optimizer.zero_grad()
        model(torch.randn(16, 8)).square().mean().backward()
        optimizer.step()
    assert 1 < kept.corrections < 30
    mine = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    both = [torch.empty_like(mine) for _ in range(2)]
    distributed.all_gather(both, mine)
    assert torch.equal(*both)
    distributed.barrier()
    distributed.destroy_process_group()
