"""Amounts as people write them."""

import pyarrow as pa
import pytest

from selfnorm.tabular.data._amounts import amounts_of, is_written, parse_amounts

WAYS = {
    "dollars": (["$56.26", "-$1,200.00", "$ 7"], "1,234.5 $", [56.26, -1200, 7]),
    "percent": (["71.9%", "5 %", "-3%"], "1,234.5 %", [71.9, 5, -3]),
    "euros": (["1.234,56 EUR", "12,50 EUR"], "1.234,5 eur", [1234.56, 12.5]),
    "sign before": (["€ 1.234,56", "€ 2"], "1.234,5 €", [1234.56, 2]),
    "brackets": (["(12.50)", "12.50", "$(3.00)"], "1,234.5 $", [-12.5, 12.5, -3]),
    "units": (["56 kg", "7.5 kg", "60"], "1,234.5 kg", [56, 7.5, 60]),
    "plural": (["1 year", "5 years"], "1,234.5 year", [1, 5]),
    "letters for powers": (["$1.2M", "$300K", "$2"], "1,234.5 K", [1.2e6, 3e5, 2]),
    "spaces": (["1 234,56", "12,5"], "1.234,5", [1234.56, 12.5]),
    "narrow spaces": (["1\u202f234 m²", "2 m²"], "1,234.5 m²", [1234, 2]),
    "apostrophes": (["1'234.50", "3"], "1,234.5", [1234.5, 3]),
    "lakhs": (["Rs. 1,00,000", "Rs. 500"], "1,234.5 rs.", [1e5, 500]),
    "groups": (["1.234.567", "2.345.678"], "1.234,5", [1234567, 2345678]),
    "minus signs": (["−5.5 °C", "5-"], "1,234.5 °c", [-5.5, -5]),
    "powers of ten": (["1,000", "2.5E-3"], "1,234.5", [1000, 0.0025]),
}


@pytest.mark.parametrize("kind", WAYS)
def test_a_way_of_writing_is_known(kind: str) -> None:
    texts, written, numbers = WAYS[kind]
    found = amounts_of(pa.array(texts))
    assert found is not None
    assert (found.written, found.other, found.misfit) == (written, None, None)
    assert is_written(found.written)
    assert parse_amounts(pa.array(texts), written).to_pylist() == numbers


NONE = {
    "codes": ["ABC123", "ABC124"],
    "ordinals": ["1st", "2nd"],
    "two units": ["56 kg", "12 lb"],
    "two currencies": ["$5", "€6"],
    "cylinders": ["V6", "V8"],
    "times": ["10:30"],
    "shares": ["12/05", "1-2", "<5"],
    "addresses": ["192.168.1.1"],
    "words": ["small", "large"],
}


@pytest.mark.parametrize("kind", NONE)
def test_what_is_no_amount(kind: str) -> None:
    assert amounts_of(pa.array(NONE[kind])) is None


def test_three_digits_behind_a_mark_may_be_thousands() -> None:
    comma = amounts_of(pa.array(["11,230", "1,000"]))
    assert comma is not None
    assert (comma.written, comma.other) == ("1,234.5", "1.234,5")
    money = amounts_of(pa.array(["1.234 €", "2.500 €"]))
    assert money is not None
    assert (money.written, money.other) == ("1.234,5 €", "1,234.5")
    decided = amounts_of(pa.array(["11,230", "5.5"]))
    assert decided is not None
    assert (decided.written, decided.other) == ("1,234.5", None)


def test_a_cell_that_is_none_among_many_is_told() -> None:
    found = amounts_of(pa.array([*(f"${row}.00" for row in range(30)), "oops"]))
    assert found is not None
    assert found.misfit == "oops"
    assert parse_amounts(pa.array(["$5", "€5", "5", None]), "1,234.5 $").to_pylist() == [
        *(5, None, 5, None)
    ]
