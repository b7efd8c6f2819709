"""The matrix: mean 0 and variance 1 for every column, whatever the table holds."""

import json
import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from selfnorm.errors import TableError
from selfnorm.tabular._fit import prepare
from selfnorm.tabular._source import Source
from selfnorm.tabular.data._provenance import Provenance, with_provenance
from selfnorm.tabular.encoding._at_once import distinct
from selfnorm.tabular.encoding._category import CategoryColumn
from selfnorm.tabular.encoding._encode import Encoder, rare_count
from support.tables import settings, small_source
from support.tolerances import MATRIX_MOMENTS

ROWS = 400
RNG = np.random.default_rng(0)
DAY = np.datetime64("2020-01-01")


def holes(values: list, every: int) -> list:
    return [None if row % every == 0 else value for row, value in enumerate(values)]


def mixed_table() -> pa.Table:
    """Every kind of column that is encoded, with many, few and no holes."""
    city = RNG.choice(["Oslo", "Rome", "Lima"], ROWS).tolist()
    return pa.table(
        {
            "plain": RNG.normal(3, 10, ROWS),
            "holes": pa.array(holes(RNG.normal(1e6, 1, ROWS).tolist(), 7)),
            "few_holes": pa.array(holes(RNG.normal(size=ROWS).tolist(), 199)),
            "whole": RNG.integers(0, 9, ROWS),
            "flag": RNG.random(ROWS) < 0.1,
            "day": DAY + RNG.integers(0, 999, ROWS),
            "stamp": (DAY + RNG.integers(0, 999, ROWS)).astype("datetime64[us]"),
            "city": city,
            "city_holes": pa.array(holes(city, 5)),
            "city_few_holes": pa.array(holes(city, 199)),
            "coded": pa.array(city).dictionary_encode(),
            "two": RNG.choice(["yes", "no"], ROWS).tolist(),
            "rare": [f"one-off {row}" if row < 3 else "common" for row in range(200)] * 2,
        }
    )


def test_every_feature_has_mean_0_and_variance_1() -> None:
    table = mixed_table()
    encoder = Encoder.fit(table, pieces=8)
    matrix = encoder.transform(table).astype(np.float64)
    assert matrix.shape == (ROWS, len(encoder.features))
    assert matrix.dtype == np.float64
    assert np.abs(matrix.mean(0)).max() < MATRIX_MOMENTS, encoder.features
    assert np.abs(matrix.var(0) - 1).max() < MATRIX_MOMENTS, encoder.features


def test_features_are_named_by_column_and_level() -> None:
    features = Encoder.fit(mixed_table()).features
    assert [name for name in features if name.startswith("city_holes")] == [
        "city_holes=Lima",
        "city_holes=Oslo",
        "city_holes=Rome",
        "city_holes=(missing)",
    ]
    assert "holes=(missing)" in features
    assert "few_holes=(missing)" not in features
    assert [name for name in features if name.startswith("two")] in (["two=no"], ["two=yes"])


def test_the_encoding_survives_json() -> None:
    encoder = Encoder.fit(mixed_table())
    assert Encoder.from_dict(json.loads(json.dumps(encoder.to_dict()))) == encoder


def test_columns_may_stand_in_any_order_and_more_may_be_there() -> None:
    table = mixed_table()
    encoder = Encoder.fit(table)
    other = table.append_column("more", pa.array(["?"] * ROWS)).select(
        ["more", *reversed(table.column_names)]
    )
    np.testing.assert_array_equal(encoder.transform(other), encoder.transform(table))


def test_a_missing_number_is_the_mean_and_is_marked() -> None:
    table = pa.table({"a": pa.array([1.0, 3.0, None, None, 5.0, 7.0] * 20)})
    matrix = Encoder.fit(table).transform(pa.table({"a": pa.array([None, 4.0], pa.float64())}))
    assert matrix[0, 0] == matrix[1, 0] == 0
    assert matrix[0, 1] > 0 > matrix[1, 1]


def test_an_unknown_category_is_an_average_row_and_is_told() -> None:
    encoder = Encoder.fit(pa.table({"c": ["a", "b", "c"] * 50}))
    new = pa.table({"c": ["a", "z", None, "z"]})
    matrix = encoder.transform(new)
    assert np.all(matrix[1:] == 0)
    assert np.any(matrix[0] != 0)
    (note,) = encoder.notes(new)
    assert "Column 'c'" in note
    assert "such as 'z', in 2 of 4 rows" in note
    assert encoder.notes(pa.table({"c": ["a", "b"]})) == []


def test_rare_categories_share_a_level() -> None:
    values = ["a"] * 200 + ["b"] * 180 + [f"r{row}" for row in range(20)]
    encoder = Encoder.fit(pa.table({"c": values}))
    assert encoder.features == ["c=a", "c=b", "c=(other)"]
    rare, unknown = encoder.transform(pa.table({"c": ["r3", "never seen"]}))
    np.testing.assert_array_equal(rare, unknown)
    assert encoder.notes(pa.table({"c": ["never seen"]})) == []


def test_numbers_may_be_taken_as_categories() -> None:
    table = pa.table({"code": [7.0, 8.0, 9.0] * 20, "n": np.arange(60.0) ** 2})
    encoder = Encoder.fit(table, categories=["code"])
    assert encoder.features == ["code=7", "code=8", "code=9", "n"]
    as_whole = pa.table({"code": [7], "n": [0.0]})
    as_text = pa.table({"code": [" 7 "], "n": [0.0]})
    np.testing.assert_array_equal(encoder.transform(as_whole), encoder.transform(as_text))


USELESS = {
    "empty": (pa.nulls(60), "no value in any row"),
    "constant": (pa.array([3.0] * 60), "one value in all rows"),
    "counter": (pa.array(range(1, 61)), "it counts the rows"),
    "shuffled counter": (pa.array(RNG.permutation(60)), "it counts the rows"),
    "names": (pa.array([f"name {row}" for row in range(60)]), "nearly every row has a text of its"),
    "lists": (pa.array([[1]] * 60), "its values are of type list"),
}


@pytest.mark.parametrize("kind", USELESS)
def test_useless_columns_are_left_out_with_the_reason(kind: str) -> None:
    column, reason = USELESS[kind]
    encoder = Encoder.fit(pa.table({"bad": column, "good": np.arange(60.0) ** 2}))
    assert encoder.features == ["good"]
    assert encoder.ignored["bad"].startswith(reason)
    with pytest.raises(TableError, match=f"none is usable \\('bad': {reason}"):
        Encoder.fit(pa.table({"bad": column}))


def test_ignored_columns_need_not_be_there_later() -> None:
    table = pa.table({"a": np.arange(60.0) ** 2, "b": np.arange(60.0) ** 3})
    encoder = Encoder.fit(table, ignore=["b"])
    assert encoder.ignored == {"b": "as asked"}
    encoder.transform(table.select(["a"]))
    with pytest.raises(TableError, match=r"there is no 'c'"):
        Encoder.fit(table, ignore=["c"])


def test_missing_columns_are_named() -> None:
    encoder = Encoder.fit(pa.table({name: np.arange(60.0) ** 2 for name in "abcde"}))
    with pytest.raises(TableError, match=r"'a' is missing. Add the column"):
        encoder.transform(pa.table({name: [1.0] for name in "bcde"}))
    with pytest.raises(TableError, match=r"'a', 'b', 'c' and 1 more are missing"):
        encoder.transform(pa.table({"e": [1.0]}))


def test_text_where_numbers_were_is_told_with_its_row() -> None:
    encoder = Encoder.fit(pa.table({"age": np.arange(60.0) ** 2}))
    assert encoder.transform(pa.table({"age": ["1", " 2 ", None]})).shape == (3, 1)
    with pytest.raises(TableError, match=r"'age' must hold numbers.*row 2 holds 'old'. Mend"):
        encoder.transform(pa.table({"age": ["1", "old"]}))


def test_slips_of_all_columns_are_told_at_once() -> None:
    slips = {
        "n": [f"{row}.5" for row in range(100)] + ["oops"],
        "day": [f"2015-01-{row % 28 + 1:02}" for row in range(100)] + ["soon"],
    }
    with pytest.raises(TableError) as error:
        Encoder.fit(pa.table(slips))
    assert "'n' holds numbers but for 'oops' in row 101; 'day' holds dates but" in str(error.value)
    assert "--" not in str(error.value)
    assert error.value.options == ("--missing WORD", "--category COLUMN", "--ignore COLUMN")
    assert Encoder.fit(pa.table({**slips, "m": np.arange(101.0) ** 2}), ignore=["n", "day"])


@pytest.mark.parametrize(
    ("cells", "odd", "told"),
    [
        ([f"{row}.5" for row in range(200)], ["old", "old", "new"], "numbers but in 3 cells, such"),
        ([f"2015-01-{row % 28 + 1:02}" for row in range(200)], ["soon", "late", "soon"], "dates"),
        ([f"${row}.50" for row in range(200)], ["old", "new", "old"], "numbers but in 3 cells"),
    ],
)
def test_odd_cells_of_one_column_are_told_at_once(
    cells: list[str], odd: list[str], told: str
) -> None:
    table = with_provenance(pa.table({"n": cells + odd}), Provenance(guessed=("n",)))
    with pytest.raises(TableError) as error:
        Encoder.fit(table)
    first, other = dict.fromkeys(odd)
    row = 201 + odd.index(other)
    assert f"'n' holds {told}" in str(error.value)
    assert f"in 3 cells, such as '{first}' in row 201, '{other}' in row {row}." in str(error.value)
    assert Encoder.fit(table, missing=odd).features[0] == "n"


def test_odd_cells_of_a_new_table_are_told_with_how_many() -> None:
    encoder = Encoder.fit(pa.table({"age": np.arange(60.0) ** 2}))
    cells = ["1", "old", "old", "new", "2", "odd", "none of these"]
    told = r"5 cells do not: row 2 holds 'old', row 4 holds 'new', row 6 holds 'odd'\. Mend"
    with pytest.raises(TableError, match=f"'age' must hold numbers; {told}"):
        encoder.transform(pa.table({"age": cells}))


def test_infinite_numbers_are_told() -> None:
    with pytest.raises(TableError, match=r"'a' is infinite in row 2"):
        Encoder.fit(pa.table({"a": [1.0, np.inf, 2.0]}))


def fitted_alone(values: object) -> Encoder:
    """An encoder of one column beside one that is always usable."""
    good = np.arange(float(len(values))) ** 2  # pyright: ignore[reportArgumentType] sized
    return Encoder.fit(pa.table({"bad": values, "good": good}))


@pytest.mark.parametrize("order", ["sorted", "shuffled"])
def test_a_row_counter_is_told_though_rows_are_held_out(order: str) -> None:
    source = small_source("classification")
    counter = np.arange(len(source.values))
    counter = counter if order == "sorted" else RNG.permutation(counter)
    table = source.table.append_column("id", pa.array(counter))
    ready = prepare(replace(source, table=table), settings(test=0.2))
    assert ready.encoder.ignored == {"id": "it counts the rows"}
    gone = counter != 5  # a row whose target is not known
    part = Source(table.filter(pa.array(gone)), source.values[gone], "label", source.task, 1)
    assert "id" in prepare(part, settings(test=0.2)).encoder.ignored


@pytest.mark.parametrize("size", [1e-200, 1e-160, 1.0, 1e154, 1e300])
def test_numbers_of_any_size_get_mean_0_and_variance_1(size: float) -> None:
    table = pa.table({"a": size * RNG.normal(3, 2, ROWS)})
    matrix = Encoder.fit(table, pieces=8).transform(table).astype(np.float64)
    assert matrix.shape == (ROWS, 9)
    assert np.abs(matrix.mean(0)).max() < MATRIX_MOMENTS
    assert np.abs(matrix.var(0) - 1).max() < MATRIX_MOMENTS


def test_numbers_that_do_not_differ_are_ignored() -> None:
    for values in ([0.0, -0.0] * 30, [0.0, 5e-324] * 30, [2**60, 2**60 + 1] * 30):
        assert fitted_alone(values).ignored == {"bad": "its numbers do not differ"}
    barely_missing = pa.array([None, *[3.0] * 59])
    assert fitted_alone(barely_missing).ignored == {"bad": "one value in all rows that have one"}


def test_what_training_rows_do_not_show_is_ignored() -> None:
    table = pa.table({"a": [1.0] * 30 + [2.0] * 30, "b": [None] * 30 + [1.0] * 30})
    with pytest.raises(TableError, match=r"one value in all training rows.*in any training row"):
        Encoder.fit(table, np.arange(30))


def test_numbers_far_from_training_are_bent_toward_a_limit() -> None:
    encoder = Encoder.fit(pa.table({"a": np.arange(60.0) ** 2}), pieces=4)
    far = pa.table({"a": [-1e308, -1e60, -1e6, 1e6, 1e60, 1e308]})
    matrix = encoder.transform(far)
    assert np.isfinite(matrix).all()
    assert np.all(np.diff(matrix[:, 0]) >= 0)
    assert matrix[0, 0] == matrix[1, 0]
    assert np.abs(matrix[:, 0]).max() < 10


def test_an_outlier_does_not_outweigh_the_rest() -> None:
    values = RNG.normal(size=ROWS)
    values[7] = 1e9
    matrix = Encoder.fit(pa.table({"a": values}), pieces=8).transform(pa.table({"a": values}))
    assert np.abs(matrix).max() < 10
    assert np.std(np.delete(matrix[:, 0], 7)) > 0.9


def test_pieces_say_how_far_a_number_has_come() -> None:
    table = pa.table({"a": np.arange(81.0), "b": [0.0, 1.0, 1.0] * 27})
    encoder = Encoder.fit(table, pieces=4)
    names = ["a", *(f"a from {low} to {low + 20}" for low in (0, 20, 40, 60)), "b"]
    assert encoder.features == names
    matrix = encoder.transform(table)
    for at, low in enumerate((0, 20, 40, 60), 1):
        come = np.clip((np.arange(81) - low) / 20, 0, 1)
        np.testing.assert_allclose(matrix[:, at], (come - come.mean()) / come.std(), atol=1e-5)
    smooth, piecewise = (view.tolist() for view in encoder.views)
    assert smooth == [True, False, False, False, False, True]
    assert piecewise == [False, True, True, True, True, True]
    assert len(Encoder.fit(table).views) == 1
    assert Encoder.from_dict(json.loads(json.dumps(encoder.to_dict()))) == encoder


def test_a_piece_that_tells_single_rows_apart_is_left_out() -> None:
    values = np.r_[-1e9, np.linspace(0, 1, 999)]
    encoder = Encoder.fit(pa.table({"a": values}), pieces=4)
    assert len(encoder.features) == 4  # the lowest piece is 0 in one row of a thousand
    assert np.abs(encoder.transform(pa.table({"a": values}))[:, 1:]).max() < 20


def test_numbers_of_format_1_are_not_bent_and_told_where_too_far() -> None:
    column = {"kind": "number", "name": "a", "mean": 2.0, "deviation": 0.5, "missing": 0.0}
    encoder = Encoder.from_dict({"columns": [column], "ignored": {}})
    np.testing.assert_array_equal(encoder.transform(pa.table({"a": [1.0, 4.0]})), [[-2], [4]])
    with pytest.raises(TableError, match=r"'a' holds -1e\+60 in row 2"):
        encoder.transform(pa.table({"a": [1.0, -1e60]}))
    with pytest.raises(TableError, match=r"'a' holds 1e\+308 in row 1"):
        encoder.transform(pa.table({"a": [1e308]}))


LARGE = {
    "ids": pa.array((2**60 + 2**20 * RNG.integers(0, 2**20, 60)).tolist()),
    "unsigned": pa.array([2**64 - 1 - 2**30 * row**2 for row in range(60)], pa.uint64()),
    "decimals": pa.array([str(10**30 + 10**20 * row**2) for row in range(60)]).cast(
        pa.decimal128(38)
    ),
    "nanoseconds": pa.array((10**18 + 10**9 * np.arange(60) ** 2 + 1).tolist(), pa.timestamp("ns")),
}


@pytest.mark.parametrize("kind", LARGE)
def test_whole_numbers_beyond_float64_are_rounded(kind: str) -> None:
    table = pa.table({"a": LARGE[kind]})
    matrix = Encoder.fit(table, pieces=8).transform(table).astype(np.float64)
    assert matrix.shape == (60, 9)
    assert np.abs(matrix.mean(0)).max() < MATRIX_MOMENTS
    assert np.abs(matrix.var(0) - 1).max() < MATRIX_MOMENTS


DATES = pa.array((DAY + RNG.integers(0, 999, 60)).tolist())
KINDS = {
    "numbers for dates": (DATES, [1.5], "must hold dates; it holds numbers"),
    "dates for numbers": (np.arange(60.0) ** 2, DATES[:1], "must hold numbers; it holds dates"),
    "text for dates": (
        DATES,
        ["2020-01-01", "1.2.2020"],
        "must hold dates; row 2 holds '1.2.2020'. Write it as 2020-01-31",
    ),
    "a number for booleans": (
        [True, False, False] * 20,
        [0, 1, 2],
        "must hold booleans, or 0 and 1; row 3 holds 2",
    ),
    "text for booleans": (
        [True, False, False] * 20,
        ["maybe"],
        "must hold booleans; row 1 holds 'maybe'. Write true or false",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_holds_what_it_held_in_training(kind: str) -> None:
    trained, new, words = KINDS[kind]
    encoder = Encoder.fit(pa.table({"a": trained}))
    with pytest.raises(TableError) as error:
        encoder.transform(pa.table({"a": new}))
    assert f"Column 'a' {words}" in str(error.value)


def test_dates_may_come_as_text_and_booleans_as_numbers() -> None:
    encoder = Encoder.fit(pa.table({"day": DATES, "flag": [True, False, False] * 20}))
    one = encoder.transform(pa.table({"day": [DAY.item()], "flag": [True]}))
    other = encoder.transform(pa.table({"day": ["2020-01-01"], "flag": [1]}))
    np.testing.assert_array_equal(one, other)
    nothing = pa.table({"day": pa.nulls(1), "flag": pa.nulls(1)})
    assert not encoder.transform(nothing).any()


def test_many_columns_take_time_in_proportion() -> None:
    values = np.arange(30.0) ** 2
    table = pa.table({f"column {number}": values for number in range(5000)})
    begin = time.process_time()
    assert Encoder.fit(table).transform(table).shape == (30, 5000)
    assert time.process_time() - begin < 5  # 0.6 s; with all names listed once a column, over 10 s


def test_the_most_frequent_of_many_categories_are_kept() -> None:
    thousand = [f"level {row % 1000}" for row in range(30_000)]
    (column,) = Encoder.fit(pa.table({"c": thousand})).columns
    assert len(column.features) == 101
    rarer = [f"level {row % 2000}" for row in range(30_000)]  # each in less than a thousandth
    assert len(Encoder.fit(pa.table({"c": rarer})).features) == 101
    six_rows_each = [f"level {row % 2000}" for row in range(12_000)]
    rarest = pa.table({"c": six_rows_each, "n": range(0, 24_000, 2)})
    assert Encoder.fit(rarest).ignored["c"].startswith("no two values")


def test_text_that_is_nearly_numbers_is_told_why() -> None:
    encoder = fitted_alone([f"{100 + row} {'kg' if row % 2 else 'lb'}" for row in range(60)])
    assert encoder.ignored["bad"] == (
        "text such as '100 lb' is a category, no two of which stand in 2 rows or more each; "
        "convert it if it counts something"
    )
    encoder = fitted_alone([str(row**2) for row in range(60)])
    assert encoder.ignored["bad"].startswith("text such as '0' is a category")
    encoder = fitted_alone(
        [f"{row % 28 + 1:02}/{row % 28 + 1:02}/20{row}" for row in range(10, 70)]
    )
    assert encoder.ignored["bad"].startswith("dates such as '11/11/2010' are not written in one")


def test_bytes_and_extension_types_are_ignored() -> None:
    identity = pa.array([bytes([row] * 16) for row in range(60)], pa.binary(16))
    uuid = pa.ExtensionArray.from_storage(pa.uuid(), identity)
    for column in (identity, uuid):
        assert fitted_alone(column).ignored["bad"].startswith("its values are of type")


def test_features_have_a_name_each() -> None:
    rng = np.random.default_rng(0)
    values = {name: rng.normal(size=60) for name in ("a=b", "a=(missing)", "a=b (2)")}
    level = np.where(rng.random(60) < 0.3, None, rng.choice(["b", "c"], 60))
    encoder = Encoder.fit(pa.table({"a": level.tolist(), **values}))
    features = encoder.features
    assert len(set(features)) == len(features)
    assert features[:3] == ["a=b", "a=c", "a=(missing)"]
    assert {"a=b (2)", "a=b (3)", "a=(missing) (2)"} <= set(features)
    assert distinct(["x", "y"]) == ["x", "y"]


def test_what_is_wrong_with_columns_is_told_at_once() -> None:
    rng = np.random.default_rng(0)
    names = ("a", "b", "c", "d", "e")
    encoder = Encoder.fit(pa.table({name: rng.normal(size=60) for name in names}))
    cells = {name: ["1.5", f"not {name}"] for name in names}
    words = r"'a' must .* row 2 holds 'not a'.*'b' must .*'c' must .* 2 more columns are so"
    with pytest.raises(TableError, match=words):
        encoder.transform(pa.table(cells))
    with pytest.raises(TableError, match=r"^Column 'b' must .* unknown\.$"):
        encoder.transform(pa.table({name: [1.0, 2.0] for name in names} | {"b": cells["b"]}))


def test_rare_values_are_told_where_they_are_more_than_in_training() -> None:
    column = pa.chunked_array([["one"] + ["x", "y"] * 59])
    learned = CategoryColumn.fit("c", column, np.arange(119), rare_count(119))
    assert learned is not None
    assert learned.levels == ("x", "y")
    assert learned.note(learned.strange(column)) is None
    assert learned.note(learned.strange(column[:50])) is not None
    more = pa.chunked_array([["one", "two"] + ["x", "y"] * 58])
    assert "in 2 of 118 rows" in (learned.note(learned.strange(more)) or "")
