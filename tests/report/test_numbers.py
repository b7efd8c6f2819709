"""Numbers read as what they are."""

import itertools

import pytest

from selfnorm.report._axis import Axis, counting, logarithmic
from selfnorm.report._numbers import digits, short, signed, tick

NAN, INF = float("nan"), float("inf")
SPANS = [1.5, 3, 7, 40, 1e3, 1e7, 1e24]


def logarithmic_axes() -> list[Axis]:
    starts = [m * 10.0**k for k in range(-12, 13) for m in (1, 1.3, 4.7)]
    return [Axis("", a, a * span, logarithmic=True) for a in starts for span in SPANS]


def linear_axes() -> list[Axis]:
    sizes = [m * 10.0**k for k in range(-12, 13) for m in (1, 1.3, 4.7)]
    starts = (-3.0, -1.0, -0.013, 0.0, 0.71, 25.0)
    return [Axis("", start * s, start * s + s) for start in starts for s in sizes]


@pytest.mark.parametrize("axes", [logarithmic_axes(), linear_axes()], ids=["log", "linear"])
def test_a_tick_reads_as_the_number_it_stands_at(axes: list[Axis]) -> None:
    for axis in axes:
        ticks = axis.ticks()
        assert 2 <= len(ticks) <= 8, axis
        assert list(ticks) == sorted(set(ticks)), axis
        assert axis.low <= ticks[0], axis
        assert ticks[-1] <= axis.high, axis
        for value in ticks:
            assert float(tick(value)) == value, axis
            assert len(tick(value)) <= 8, (axis, value)


def test_linear_ticks_are_evenly_apart() -> None:
    for axis in linear_axes():
        ticks = axis.ticks()
        steps = [after - before for before, after in itertools.pairwise(ticks)]
        assert steps == pytest.approx([steps[0]] * len(steps)), axis


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0.0, "0"), (2e-4, "2e-4"), (5e-4, "5e-4"), (1e-3, "0.001"), (0.05, "0.05")),
        *((-0.5, "-0.5"), (9999, "9999"), (1e4, "1e4"), (12500, "1.25e4"), (-3e-7, "-3e-7")),
        *((1e-300, "1e-300"), (1.0, "1"), (1000001.0, "1.000001e6")),
    ],
)
def test_ticks(value: float, text: str) -> None:
    assert tick(value) == text


def test_ticks_of_counts_are_whole() -> None:
    assert counting("layer", 1, 1).ticks() == (1,)
    assert counting("layer", 1, 3).ticks() == (1, 2, 3)
    assert counting("layer", 1, 91).ticks() == (20, 40, 60, 80)
    assert counting("step", 0, 5000, air=150).ticks() == (0, 1000, 2000, 3000, 4000, 5000)


def test_ticks_by_the_span_of_a_logarithmic_axis() -> None:
    assert Axis("", 3e-5, 2.0, logarithmic=True).ticks() == (1e-4, 1e-3, 1e-2, 0.1, 1)
    assert Axis("", 0.3, 4.0, logarithmic=True).ticks() == (0.5, 1, 2)
    assert Axis("", 0.94, 1.11, logarithmic=True).ticks() == (0.95, 1, 1.05, 1.1)
    wide = Axis("", 3e-12, 2.0, logarithmic=True).ticks()
    assert wide == (1e-9, 1e-6, 1e-3, 1)


def test_positions() -> None:
    axis = Axis("", 0.01, 100, logarithmic=True)
    assert [axis.share(x) for x in (0.01, 1, 10, 100)] == pytest.approx([0, 0.5, 0.75, 1])
    assert (axis.share(1e-9), axis.share(0), axis.share(1e9)) == (0, 0, 1)
    assert Axis("", -2, 2).share(1) == 0.75


@pytest.mark.parametrize("values", [[1.0], [5e-324], [1e308], [1e-300, 1e300]])
def test_every_positive_number_has_an_axis(values: list[float]) -> None:
    axis = logarithmic("", values)
    assert 0 < axis.low < axis.high < INF
    assert axis.ticks()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0.0, "0.000"), (1.0, "1.000"), (0.01, "0.010"), (0.00999, "1.0e-02"), (-0.5, "-0.500")),
        *((12.3456, "12.346"), (123.456, "123.46"), (-123.456, "-123.46"), (1234.5, "1234")),
        *((12345.0, "1.2e+04"), (1e-30, "1.0e-30"), (NAN, "-"), (INF, "inf"), (-INF, "-inf")),
        (-1.5e-300, "-1.5e-300"),
    ],
)
def test_short(value: float, text: str) -> None:
    assert short(value) == text


def test_signed_and_digits() -> None:
    assert [signed(x) for x in (0.0, 0.25, -0.0004, 12345.0, NAN)] == [
        *("+0.000", "+0.250", "-0.000", "1.2e+04", "-"),
    ]
    assert [digits(x, 4) for x in (0.0, -0.0, 0.25, 1234.56, 1e-7, NAN)] == [
        *("0", "0", "0.25", "1235", "1e-07", "-"),
    ]
