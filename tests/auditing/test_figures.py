"""The axes of a report's figures."""

import pytest

from selfnorm.auditing._figures import _Axis, _log_axis, _number

SPANS = [(k, factor) for k in (-300, -45, -12, -7, -4, -3, -2, 0, 3, 4, 9, 30) for factor in (2, 8)]
LINEAR = [(0.5, 7.5), (0.5, 12000.5), (-0.53, 0.53), (-1e-7, 3e-7), (0.9, 1.15), (-4e5, 3e6)]


def test_a_tick_reads_as_the_number_it_stands_at() -> None:
    axes = [_log_axis([10.0**k, factor * 10.0**k]) for k, factor in SPANS]
    axes += [_log_axis([10.0**-k, 3.0]) for k in range(1, 40)]
    axes += [_Axis(*ends, 0, 100) for ends in LINEAR]
    for axis in axes:
        ticks = axis.ticks()
        assert 1 <= len(ticks) <= 7
        assert [float(_number(tick)) for tick in ticks] == ticks, (axis, ticks)
        assert all(axis.low <= tick <= axis.high for tick in ticks)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((2e-4, "2e-4"), (5e-4, "5e-4"), (1e-12, "1e-12"), (-2e-4, "-2e-4"), (0.05, "0.05")),
        *((0.0, "0"), (1000.0, "1000"), (12000.0, "1.2e4"), (1e5, "1e5")),
    ],
)
def test_ticks_are_short(value: float, text: str) -> None:
    assert _number(value) == text


@pytest.mark.parametrize("ends", [(1e-320, 3e-320), (1e307, 1.7e308)])
def test_the_ends_of_float64_have_an_axis_too(ends: tuple[float, float]) -> None:
    axis = _log_axis(ends)
    assert axis(ends[0]) > axis(ends[1])  # upwards
    axis.ticks()
