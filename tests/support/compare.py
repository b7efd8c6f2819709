"""Comparisons that raise, and say where it is worst, what both sides hold and how many differ."""

import torch
from torch import Tensor


def assert_same(actual: Tensor, expected: Tensor) -> None:
    """Bit for bit: dtype, shape, nan at the same places, the sign of zero."""
    assert actual.dtype == expected.dtype, f"dtype {actual.dtype}, expected {expected.dtype}"
    _check(actual, expected, ~_identical(actual, expected))


def assert_close(actual: Tensor, expected: Tensor, tolerance: float) -> None:
    """Within `tolerance` of the larger of 1 and the expected size; inf and nan exactly."""
    error, expected_wide = _errors(actual, expected)
    _check(actual, expected, ~(error <= tolerance * expected_wide.abs().clamp(1)), error)


def assert_within_ulps(
    actual: Tensor, oracle: Tensor, ulps: float, *, of_at_least: float = 0.0
) -> None:
    """Within so many units in the last place of `actual`'s dtype; the oracle is exact enough.

    A sum's terms may be larger than it is: units are those of numbers `of_at_least` that size.
    """
    error, wide = _errors(actual, oracle)
    info = torch.finfo(actual.dtype)
    size = wide.abs().clamp(max(info.tiny, of_at_least))
    unit = info.eps * torch.exp2(torch.floor(torch.log2(size)))
    _check(actual, oracle, ~(error <= ulps * unit), error / unit)


def _errors(actual: Tensor, expected: Tensor) -> tuple[Tensor, Tensor]:
    a, e = actual.double(), expected.double()
    return torch.where(_identical(a, e), 0.0, (a - e).abs()), e.nan_to_num(0.0, 0.0, 0.0)


def _identical(a: Tensor, b: Tensor) -> Tensor:
    same = (a == b) & (a.signbit() == b.signbit())
    return same | (a.isnan() & b.isnan())


def _check(actual: Tensor, expected: Tensor, wrong: Tensor, error: Tensor | None = None) -> None:
    assert actual.shape == expected.shape, f"shape {actual.shape}, expected {expected.shape}"
    if not wrong.any():
        return
    size = wrong.double() if error is None else error.nan_to_num(torch.inf).where(wrong, -1.0)
    flat = int(size.flatten().argmax())
    index = tuple(int(i) for i in torch.unravel_index(torch.tensor(flat), wrong.shape))
    raise AssertionError(
        f"{int(wrong.sum())} of {wrong.numel()} differ; worst at {index}: "
        f"{actual[index].item()!r}, expected {expected[index].item()!r}"
    )
