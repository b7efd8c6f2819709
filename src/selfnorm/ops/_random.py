"""Random bits as a function of (seed, position) alone: Philox4x32-7.

A counter-based generator has no state to share: every kernel, thread and device that knows the
seed finds the same bits at the same position, so a mask is drawn again in the backward pass
instead of being kept.
"""

import torch
from torch import Tensor

from selfnorm import _torch_private
from selfnorm._spec._philox import (
    BLOCK,
    COUNTERS,
    KEY_STEPS,
    LEVELS,
    MULTIPLIERS,
    ROUNDS,
    SEEDS,
    dropped_levels,
)
from selfnorm.errors import UnsupportedError

# On the CPU, whatever the default device is while this is imported.
_KEY_STEPS, _ROUNDS = (torch.tensor(v, device="cpu") for v in (KEY_STEPS, range(ROUNDS)))
_MULTIPLIERS = torch.tensor(MULTIPLIERS, device="cpu").view(2, 1, 1)
_KEY_SCHEDULE = _KEY_STEPS.view(2, 1, 1) * _ROUNDS.view(-1, 1, 1, 1)
_KEY_SHIFTS = torch.tensor([0, 32], device="cpu").view(2, 1, 1)
# As tensors, as a Python number makes an operation on a small tensor half as slow again.
_WORD = torch.tensor(0xFFFFFFFF, device="cpu")
_HALF = torch.tensor(32, device="cpu")


def draw_seed(device: torch.device, generator: torch.Generator | None) -> Tensor:
    """Draw a seed, 63 bits in a 0-d tensor, from torch's generator of that device."""
    if generator is not None:
        refuse_again(generator)
    return torch.randint(SEEDS, (), device=device, generator=generator)


def refuse_again(generator: torch.Generator) -> None:
    """Raise in a backward pass: activation checkpointing sets back torch's generators alone.

    Raises:
        UnsupportedError: the mask would be another one than in the forward pass.
    """
    if _torch_private.ways.in_backward():
        raise UnsupportedError(
            "Within a backward pass, where activation checkpointing computes the forward pass "
            f"again, masks come from torch's generator, which is set back there; got {generator}, "
            "which is not, so the gradient would be that of another mask. Pass generator=None."
        )


def draw_limits(seed: Tensor, count: int, p: float) -> Tensor:
    """-inf with probability `p`, else inf: float32, shape `(*seed.shape, count)`.

    An element is -inf where its half word, a signed integer, is below `round(p * 65536) - 32768`.
    """
    halves = draw_halves(seed, count)
    # The extra half keeps the difference off 0, as 0 * inf is nan.
    return halves.to(torch.float32).add_(LEVELS / 2 + 0.5 - dropped_levels(p)).mul_(torch.inf)


def draw_halves(seed: Tensor, count: int) -> Tensor:
    """Draw `count` half words for every seed: int16, shape `(*seed.shape, count)`.

    Block `k` of 512 elements takes counters `64 * k` to `64 * k + 63`: their first words, then
    their second, third and fourth, each word as two elements, low half first. So runs of 128
    elements come from consecutive counters, which suits vector registers and coalesced writes.
    """
    blocks = -(-count // BLOCK)
    words = philox(seed, COUNTERS * blocks).view(4, seed.numel(), blocks, COUNTERS)
    halves = words.permute(1, 2, 0, 3).contiguous().view(torch.int16)
    return halves.view(seed.numel(), blocks * BLOCK)[:, :count].reshape(*seed.shape, count)


def philox(seed: Tensor, counters: int) -> Tensor:
    """The four words of counters 0, 1, ... under each seed: int32, shape `(4, seeds, counters)`.

    The 64 bits of the seed are the key, low word first; the counter is word 0 of the input. The
    bits of the result are those of the unsigned words.
    """
    device = seed.device
    multipliers, word, half = (c.to(device) for c in (_MULTIPLIERS, _WORD, _HALF))
    keys = (seed.reshape(-1, 1) >> _KEY_SHIFTS.to(device)) + _KEY_SCHEDULE.to(device)
    # Words 0 and 2, and words 1 and 3, each in the low half of an int64 so that products fit. Only
    # the factors of a product need a clean high half.
    even = keys.new_zeros((2, keys.shape[2], counters))  # of the keys, as vmap may run over them
    odd = torch.zeros_like(even)
    even[0] = torch.arange(counters, device=device)
    for key in keys.unbind():
        product = even.mul_(multipliers).flip(0)
        even = (product >> half).bitwise_xor_(odd).bitwise_xor_(key).bitwise_and_(word)
        odd = product
    return torch.stack((even.to(torch.int32), odd.to(torch.int32)), dim=1).flatten(0, 1)
