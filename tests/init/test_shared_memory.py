"""Weights that share memory without being one `Parameter` are tied all the same."""

import itertools
import random
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from selfnorm.errors import SelfNormWarning
from selfnorm.init import initialize_, lecun_normal_
from selfnorm.init._memory import Sharing, overlaps_itself
from support.statistics import assert_moments


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linear(weight: Tensor) -> nn.Linear:
    units, inputs = weight.shape
    layer = nn.Linear(inputs, units, device="meta")
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(torch.ones(units))
    return layer


def drawn(*shape: int) -> Tensor:
    return lecun_normal_(torch.empty(*shape), generator=seeded())


def quiet(model: nn.Module) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        initialize_(model, generator=seeded())


def test_two_parameters_of_the_same_data_are_drawn_once() -> None:
    one = nn.Linear(8, 8)
    model = nn.Sequential(one, linear(one.weight.data), nn.Linear(8, 8))
    quiet(model)
    expected = seeded()
    for layer in (model[0], model[2]):
        assert torch.equal(layer.weight, lecun_normal_(torch.empty(8, 8), generator=expected))


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("embedding_first", [False, True])
def test_of_an_embedding_and_a_decoder_of_its_data_the_smaller_wins(
    transposed: bool, embedding_first: bool
) -> None:
    data = torch.zeros(3000, 16) if not transposed else torch.zeros(16, 3000).t()
    embedding = nn.Embedding(3000, 16)
    embedding.weight = nn.Parameter(data)
    layers = [("embed", embedding), ("out", linear(data))]
    model = nn.ModuleDict(layers if embedding_first else layers[::-1])
    with pytest.warns(SelfNormWarning, match=r"smaller .*; 'embed.weight' \(Embedding\) did not"):
        initialize_(model, generator=seeded())
    assert model["embed"].weight is not model["out"].weight
    assert_moments(data * 4)


def test_views_of_a_flat_buffer_that_do_not_overlap_are_apart() -> None:
    flat = torch.zeros(300)
    model = nn.Sequential(linear(flat[:200].view(20, 10)), linear(flat[200:].view(10, 10)))
    quiet(model)
    generator = seeded()
    for layer, shape in zip(model, ((20, 10), (10, 10)), strict=True):
        expected = lecun_normal_(torch.empty(shape), generator=generator)
        assert torch.equal(layer.weight, expected)


def test_columns_of_one_matrix_are_apart_although_their_addresses_mix() -> None:
    both = torch.zeros(8, 16)
    model = nn.Sequential(linear(both[:, :10]), linear(both[:, 10:]))
    quiet(model)
    generator = seeded()
    for layer, shape in zip(model, ((8, 10), (8, 6)), strict=True):
        expected = lecun_normal_(torch.empty(shape), generator=generator)
        assert torch.equal(layer.weight, expected)


@pytest.mark.parametrize("large_first", [False, True])
def test_a_part_of_a_weight_is_drawn_with_the_whole(large_first: bool) -> None:
    large = torch.zeros(16, 16)
    layers = [linear(large), linear(large[:8])]
    quiet(nn.Sequential(*(layers if large_first else layers[::-1])))
    assert torch.equal(large, drawn(16, 16))


def test_a_narrower_part_gives_way() -> None:
    large = torch.zeros(16, 16)
    model = nn.Sequential(linear(large[:8, :8]), linear(large))
    with pytest.warns(SelfNormWarning, match=r"; '0.weight' \(Linear\) did not get"):
        initialize_(model, generator=seeded())
    assert torch.equal(large, drawn(16, 16))


def test_of_weights_that_overlap_in_part_both_are_drawn_and_the_smaller_is_whole() -> None:
    flat = torch.full((30,), 7.0)
    model = nn.Sequential(linear(flat[10:26].view(2, 8)), linear(flat[:16].view(4, 4)))
    with pytest.warns(SelfNormWarning, match=r"; '1.weight' \(Linear\) did not get"):
        initialize_(model, generator=seeded())
    generator = seeded()
    first = lecun_normal_(torch.empty(2, 8), generator=generator)
    second = lecun_normal_(torch.empty(4, 4), generator=generator)
    assert torch.equal(flat[10:26], first.flatten())
    assert torch.equal(flat[:10], second.flatten()[:10])
    assert (flat[26:] == 7).all()


def test_numbers_of_numpy_and_views_of_bits_are_seen_too() -> None:
    array = np.zeros(36, np.float32)
    model = nn.Sequential(
        linear(torch.from_numpy(array[:24]).view(4, 6)),
        linear(torch.from_numpy(array[12:]).view(4, 6)),
    )
    quiet(model)
    assert (array != 0).all()
    bits = torch.zeros(4, 8, dtype=torch.bfloat16)
    ties = Sharing([bits, halves := bits.view(torch.float32), other := torch.zeros(4, 4)])
    assert ties.partners([bits]) == {id(bits), id(halves)}
    assert ties.partners([other]) == {id(other)}


def test_a_parametrized_weight_shares_what_it_is_made_of() -> None:
    one, two = nn.Linear(6, 6), parametrizations.weight_norm(nn.Linear(6, 6))
    original = two.parametrizations.weight.original1
    one.weight = nn.Parameter(original.data)
    model = nn.Sequential(one, two)
    initialize_(model, generator=seeded())
    assert torch.equal(one.weight, original)
    torch.testing.assert_close(two.weight, one.weight)


class Ours(nn.Module):
    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)


def test_a_parameter_of_another_module_in_the_same_memory_is_not_left_as_it_was() -> None:
    flat = torch.zeros(16)
    quiet(nn.Sequential(Ours(flat), linear(flat.view(4, 4))))
    assert flat.all()


def test_a_skipped_weight_stays_where_its_memory_is_shared() -> None:
    flat = torch.full((20,), 7.0)
    model = nn.Sequential(linear(flat[:16].view(4, 4)), linear(flat[4:].view(4, 4)))
    initialize_(model, skip="1")
    assert (flat == 7).all()
    assert not model[0].bias.any()


# The map of memory, against one index at a time


def indices(tensor: Tensor, of: Tensor) -> list[int]:
    """Where a view's elements lie in its base, one by one."""
    start = tensor.storage_offset() - of.storage_offset()
    return [
        start + sum(i * s for i, s in zip(place, tensor.stride(), strict=True))
        for place in itertools.product(*map(range, tensor.shape))
    ]


@pytest.mark.parametrize("seed", range(60))
def test_sharing_is_what_the_indices_say(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    base = torch.zeros(40)
    views: list[Tensor] = []
    while len(views) < 6:
        sizes = [chance.randint(1, 4) for _ in range(chance.randint(0, 3))]
        strides = [chance.randint(0, 6) for _ in sizes]
        start = chance.randint(0, 12)
        if start + sum((n - 1) * s for n, s in zip(sizes, strides, strict=True)) < 40:
            views.append(base.as_strided(sizes, strides, start))
    places = [indices(view, base) for view in views]
    sharing = Sharing(views)
    for view, own in zip(views, places, strict=True):
        wanted = {id(v) for v, other in zip(views, places, strict=True) if {*own} & {*other}}
        assert sharing.partners([view]) == wanted
        assert overlaps_itself(view) == (len(set(own)) < len(own))
        for others in itertools.combinations(range(6), 2):
            covered = {*own} <= {*places[others[0]], *places[others[1]]}
            assert sharing.covers([views[i] for i in others], view) == covered


def test_what_has_no_memory_shares_with_itself_alone() -> None:
    tensors = [
        *(torch.empty(3, device="meta") for _ in range(2)),
        *(torch.empty(0) for _ in range(2)),
        torch.eye(3).to_sparse(),
        nn.LazyLinear(3).weight,
    ]
    sharing = Sharing(tensors)
    for tensor in tensors:
        assert sharing.partners([tensor]) == {id(tensor)}
        assert not overlaps_itself(tensor)
        assert sharing.covers([tensor], tensor)
        assert not sharing.covers([torch.zeros(3)], tensor)
