"""Philox4x32-7 in numbers: random bits as a function of (seed, position) alone.

Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"; 7 rounds are the fewest
that pass BigCrush. Whatever changes here changes the mask of every seed: `tests/ops/test_random.py`
holds the words against Random123's, and the kernels follow the layout that
`_random.draw_halves` describes.
"""

ROUNDS = 7
SEEDS = 2**63 - 1
"""Seeds lie below this."""
# Elements come in blocks of 512: 64 counters, each of 4 words of 32 bits, each of 2 halves.
COUNTERS = 64
BLOCK = COUNTERS * 8

# As in the authors' Random123, philox.h; the steps are the golden ratio and sqrt(3) - 1.
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)

LEVELS = 1 << 16
"""How many values the 16 bits of an element have."""


def dropped_levels(p: float) -> int:
    """How many of the 65536 values of 16 random bits drop a unit: `p` to the nearest 2**-16."""
    return round(p * LEVELS)


def cut(levels: int) -> int:
    """A unit is kept if its 16 bits, as a signed number, lie above this; `levels` is 1 or more."""
    return levels - LEVELS // 2 - 1
