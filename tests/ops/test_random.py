"""The bits behind the masks: known answers, statistics, and where the seed comes from."""

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from selfnorm.ops import alpha_dropout, selu_alpha_dropout
from selfnorm.ops._random import draw_halves, draw_limits, philox
from support.compare import assert_same
from support.samples import normal
from support.statistics import assert_moments, mean_bound

COUNT = 1 << 20


def scalar_philox(counter: int, seed: int) -> list[int]:
    """Philox4x32-7 in Python integers, one counter."""
    words = [counter, 0, 0, 0]
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(7):
        first, second = words[0] * 0xD2511F53, words[2] * 0xCD9E8D57
        words = [
            second >> 32 ^ words[1] ^ key[0],
            second & 0xFFFFFFFF,
            first >> 32 ^ words[3] ^ key[1],
            first & 0xFFFFFFFF,
        ]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return words


def test_known_answer() -> None:
    """The first vector that Random123 publishes for philox4x32 with 7 rounds."""
    words = philox(torch.tensor(0), 1).flatten().tolist()
    assert [f"{word & 0xFFFFFFFF:08x}" for word in words] == [
        "5f6fb709",
        "0d893f64",
        "4f121f81",
        "4f730a48",
    ]


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**32, 2**63 - 2, 0x123456789ABCDEF0])
def test_words_against_integers(seed: int) -> None:
    words = philox(torch.tensor(seed), 70)[:, 0].T & 0xFFFFFFFF
    unsigned = [[word & 0xFFFFFFFF for word in row] for row in words.tolist()]
    assert unsigned == [scalar_philox(counter, seed) for counter in range(70)]


def test_layout_of_the_halves() -> None:
    """Element e of block k is half e % 2 of word e // 128 of counter 64 k + (e % 128) // 2."""
    seed = 0x0FEDCBA987654321
    halves = draw_halves(torch.tensor(seed), 1100)
    for position in (0, 1, 2, 127, 128, 300, 511, 512, 513, 1023, 1024, 1099):
        block, element = divmod(position, 512)
        word = scalar_philox(64 * block + element % 128 // 2, seed)[element // 128]
        expected = (word >> 16) if element % 2 else (word & 0xFFFF)
        assert int(halves[position]) & 0xFFFF == expected


def test_the_default_dtype_does_not_matter() -> None:
    expected = draw_limits(torch.tensor(5), 5000, 0.3)
    torch.set_default_dtype(torch.bfloat16)
    try:
        assert_same(draw_limits(torch.tensor(5), 5000, 0.3), expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_position_alone_decides() -> None:
    seed = torch.tensor(5)
    assert_same(draw_limits(seed, 3000, 0.3)[:700], draw_limits(seed, 700, 0.3))


def test_a_batch_of_seeds_is_a_stack() -> None:
    seeds = torch.arange(6).view(2, 3) * 12345678901
    limits = draw_limits(seeds, 40, 0.3)
    for i in range(2):
        for j in range(3):
            assert_same(limits[i, j], draw_limits(seeds[i, j], 40, 0.3))


@pytest.mark.parametrize("p", [2**-16, 0.05, 0.1, 0.5, 0.9, 1 - 2**-16])
def test_share_of_the_dropped(p: float) -> None:
    dropped = draw_limits(torch.tensor(11), COUNT, p).isneginf().double()
    drawn = round(p * 65536) / 65536
    assert abs(dropped.mean().item() - drawn) <= mean_bound(COUNT, drawn * (1 - drawn))


@pytest.mark.parametrize("levels", [0, 1, 2, 32767, 32768, 65535, 65536])
def test_as_many_levels_drop_as_p_says(levels: int) -> None:
    halves = draw_halves(torch.tensor(11), COUNT).int()
    dropped = draw_limits(torch.tensor(11), COUNT, levels / 65536).isneginf()
    assert_same(dropped, halves < levels - 32768)


@pytest.mark.parametrize("lag", [1, 2, 64, 128, 512])
def test_neighbors_and_seeds_are_independent(lag: int) -> None:
    p = 0.5
    limits = draw_limits(torch.tensor([1, 2]), COUNT, p)
    drop = limits.isneginf().double() - p
    products = drop[0, lag:] * drop[0, :-lag]
    assert abs(products.mean().item()) < mean_bound(len(products), p**4)
    across = drop[0, lag:] * drop[1, :-lag]
    assert abs(across.mean().item()) < mean_bound(len(across), p**4)


@pytest.mark.parametrize("p", [0.05, 0.1, 0.5])
@pytest.mark.parametrize("fused", [True, False])
def test_mean_and_variance_are_kept(p: float, fused: bool) -> None:
    x = normal(COUNT, dtype=torch.float64, seed=4)
    function = selu_alpha_dropout if fused else alpha_dropout
    z = function(x, p, training=True, generator=torch.Generator().manual_seed(5))
    assert_moments(z.numpy(), kurtosis=(z**4).mean().item())


def test_a_wrong_shift_would_be_seen() -> None:
    """The bound above is narrow: one hundredth of a standard deviation does not pass."""
    assert mean_bound(COUNT) < 0.01


def test_the_seed_comes_from_torch() -> None:
    x = normal(1000)
    torch.manual_seed(1)
    first, second = (selu_alpha_dropout(x, 0.5, training=True) for _ in range(2))
    torch.manual_seed(1)
    again = selu_alpha_dropout(x, 0.5, training=True)
    own = selu_alpha_dropout(x, 0.5, training=True, generator=torch.Generator().manual_seed(1))
    assert_same(again, first)
    assert_same(own, first)
    assert not torch.equal(first, second)


def test_no_dropout_draws_nothing() -> None:
    x = normal(10)
    state = torch.get_rng_state()
    for p, training in ((0.0, True), (0.5, False)):
        alpha_dropout(x, p, training)
        selu_alpha_dropout(x, p, training)
    assert_same(torch.get_rng_state(), state)


@pytest.mark.parametrize("function", [alpha_dropout, selu_alpha_dropout])
def test_checkpointing_draws_the_same_mask(function) -> None:
    x = normal(500).requires_grad_()
    grads = []
    for wrap in (lambda f, t: f(t), lambda f, t: checkpoint(f, t, use_reentrant=False)):
        torch.manual_seed(3)
        z = wrap(lambda t: function(function(t, 0.5, training=True), 0.2, training=True), x)
        grads.append(torch.autograd.grad(z.pow(2).sum(), x)[0])
    assert_same(grads[1], grads[0])


@pytest.mark.parametrize("function", [alpha_dropout, selu_alpha_dropout])
def test_vmap_randomness(function) -> None:
    x = normal(1, 200).expand(4, 200)

    def drop(t: torch.Tensor) -> torch.Tensor:
        return function(t, 0.5, training=True)

    with pytest.raises(RuntimeError, match="randomness"):
        torch.vmap(drop)(x)
    same = torch.vmap(drop, randomness="same")(x)
    different = torch.vmap(drop, randomness="different")(x)
    assert all(torch.equal(row, same[0]) for row in same)
    assert len({tuple(row.tolist()) for row in different}) == 4
    nested = torch.vmap(torch.vmap(drop, randomness="different"), randomness="same")(
        x.expand(3, 4, 200)
    )
    assert torch.equal(nested[0], nested[2])
    assert not torch.equal(nested[0, 0], nested[0, 1])
