"""Sharded weights (FSDP2, DTensor) are those that the same seed gives a model on one device."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import distributed, nn
from torch.nn.utils import parametrizations

from selfnorm.errors import UnsupportedError
from selfnorm.init import initialize_, lecun_normal_
from selfnorm.nn import MLP
from support.fresh import run_side_by_side
from support.require import require

require("cpu", None if distributed.is_available() else "torch has no torch.distributed here")

from torch.distributed.fsdp import fully_shard  # noqa: E402 - only where torch has it
from torch.distributed.tensor import (  # noqa: E402 - as above
    DeviceMesh,
    DTensor,
    Shard,
    distribute_tensor,
    init_device_mesh,
)

SUPPORT = Path(__file__).parent.parent / "support"


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def mesh() -> Iterator[DeviceMesh]:
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    distributed.destroy_process_group()


def sharded(model: nn.Module, mesh: DeviceMesh) -> nn.Module:
    for layer in model.children():
        if list(layer.parameters()):
            fully_shard(layer, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def assert_same(model: nn.Module, whole: nn.Module) -> None:
    for (name, part), value in zip(model.named_parameters(), whole.named_parameters(), strict=True):
        assert isinstance(part, DTensor), name
        assert torch.equal(part.full_tensor(), value[1]), name


NETWORKS: list[Callable[[], nn.Module]] = [
    lambda: MLP(4, 3, width=8, depth=2),
    lambda: nn.Sequential(
        nn.Embedding(9, 8, padding_idx=0),
        nn.ConvTranspose1d(9, 6, 3, stride=2),
        nn.LSTM(6, 5, bidirectional=True),
        nn.MultiheadAttention(10, 2, add_bias_kv=True),
        nn.LayerNorm(10),
    ),
]


OPTIONS = [{}, {"exact": True}, {"distribution": "uniform"}, {"distribution": "orthogonal"}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("network", NETWORKS)
def test_one_seed_gives_the_weights_of_the_whole_model(network, options, mesh) -> None:
    model = initialize_(sharded(network(), mesh), generator=seeded(), **options)
    assert_same(model, initialize_(network(), generator=seeded(), **options))


def test_a_model_of_the_meta_device_is_sharded_then_filled(mesh) -> None:
    with torch.device("meta"):
        model = sharded(MLP(4, 3, width=8, depth=2), mesh)
    initialize_(model, generator=seeded())
    assert all(parameter.is_meta for parameter in model.parameters())
    initialize_(model.to_empty(device="cpu"), generator=seeded())
    whole = MLP(4, 3, width=8, depth=2, generator=seeded())
    assert_same(model, whole)
    inputs = torch.ones(2, 4)
    assert torch.equal(model(inputs), whole(inputs))


def test_weights_that_are_gathered_are_not_lost(mesh) -> None:
    """After a forward pass the outermost module holds whole weights, until the backward pass."""
    model = nn.Sequential(nn.Linear(4, 8), nn.SELU(), nn.Linear(8, 3))
    fully_shard(model, mesh=mesh, reshard_after_forward=False)
    inputs = torch.ones(2, 4)
    model(inputs)
    assert not isinstance(model[0].weight, DTensor)
    initialize_(model, generator=seeded())
    whole = nn.Sequential(nn.Linear(4, 8), nn.SELU(), nn.Linear(8, 3))
    initialize_(whole, generator=seeded())
    assert_same(model, whole)
    assert torch.equal(model(inputs), whole(inputs))


def test_a_tensor_of_ones_own(mesh) -> None:
    weight = distribute_tensor(torch.zeros(4, 6), mesh, [Shard(1)])
    assert lecun_normal_(weight, exact=True, generator=seeded()) is weight
    expected = lecun_normal_(torch.empty(4, 6), exact=True, generator=seeded())
    assert torch.equal(weight.full_tensor(), expected)


def test_a_parametrized_weight_that_is_sharded_is_refused(mesh) -> None:
    model = nn.Sequential(nn.Linear(4, 4), parametrizations.weight_norm(nn.Linear(4, 4)))
    model = sharded(model, mesh)
    before = [parameter.full_tensor().clone() for parameter in model.parameters()]
    with pytest.raises(UnsupportedError, match=r"'1.weight' .* a DTensor\. Initialize before it"):
        initialize_(model)
    for parameter, value in zip(model.parameters(), before, strict=True):
        assert torch.equal(parameter.full_tensor(), value)


def test_two_processes_hold_parts_of_one_model(tmp_path: Path) -> None:
    run_side_by_side(SUPPORT / "two_processes.py", tmp_path / "store")
