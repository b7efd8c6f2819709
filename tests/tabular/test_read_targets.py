"""Several target columns of a table: what they are by their cells, and what they cannot be."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from selfnorm.errors import ArgumentError, TableError
from selfnorm.tabular._output import prediction_table
from selfnorm.tabular._read_targets import label_values, target_columns
from selfnorm.tabular._settings import Settings
from selfnorm.tabular._source import read_source
from selfnorm.tabular.data._provenance import Provenance, with_provenance
from selfnorm.tabular.encoding._prediction import Prediction
from selfnorm.tabular.encoding._several import LabelsTarget, in_order

NAN = float("nan")
COLUMNS = {
    "price": ["$1.50", "$20.00", None, "$3.00"],
    "size": [1.0, 2.5, NAN, 4.0],
    "flu": ["yes", "no", None, "yes"],
    "sick": [True, False, True, None],
    "bit": [1, 0, 1, 0],
    "sex": ["m", "f", "f", None],
    "ward": ["hip", "eye", "eye", "heart"],
    "none": pa.array([None] * 4, pa.string()),
    "same": ["a", "a", None, "a"],
    "day": np.array(["2020-01-01"] * 4, "datetime64[D]"),
}


def table(*names: str) -> pa.Table:
    found = pa.table({name: pa.array(COLUMNS[name], from_pandas=True) for name in names})
    texts = [one.name for one in found.schema if pa.types.is_string(one.type)]
    return with_provenance(found, Provenance(guessed=tuple(texts)))


def columns(*names: str, task: Any = None) -> Any:
    return target_columns(table(*names), names, task)


def test_numbers_are_read_also_where_text_writes_them() -> None:
    found = columns("price", "size")
    assert found.several == ("numbers", ("price", "size"), None)
    np.testing.assert_array_equal(found.values, [[1.5, 1], [20, 2.5], [NAN, NAN], [3, 4]])
    assert "'$1.50' is read as the number 1.5" in found.notes[0]


def test_labels_are_what_has_two_values_in_the_tables_own_words() -> None:
    found = columns("flu", "sick", "bit", "sex")
    words = (("no", "yes"), (False, True), (0, 1), ("f", "m"))
    assert found.several == ("labels", ("flu", "sick", "bit", "sex"), words)
    expected = [[1, 1, 1, 1], [0, 0, 0, 0], [NAN, 1, 1, 0], [1, NAN, 0, NAN]]
    np.testing.assert_array_equal(found.values, expected)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["yes", "no"], ("no", "yes")),
        (["TRUE", "FALSE"], ("FALSE", "TRUE")),
        (["ja", "nein"], ("nein", "ja")),
        (["present", "absent"], ("absent", "present")),
        (["positive", "negative"], ("negative", "positive")),
        (["oui", "non"], ("non", "oui")),
        (["a", "b"], ("a", "b")),
        ([1, 0], (0, 1)),
    ],
)
def test_no_comes_before_yes(values: Sequence[Any], words: tuple[Any, Any]) -> None:
    assert in_order(values) == in_order(values[::-1]) == words


@pytest.mark.parametrize(
    ("names", "task", "words"),
    [
        (("size", "flu"), None, "'size' holds numbers, and 'flu' holds no and yes. Fit them apart"),
        (("size", "bit"), None, "or take all as numbers"),
        (("flu", "ward"), None, "'ward' has 3 classes. Fit it alone"),
        (("bit", "size"), "classification", "'size' has 3 classes"),
        (("size", "flu"), "regression", r"must hold numbers; \d cells do not: row 1 holds 'yes'"),
        (("flu", "none"), None, "'none' is missing in all 4"),
        (("flu", "same"), None, "'same' is 'a' in all 3 rows in which it is known"),
        (("flu", "day"), None, "'day' holds dates"),
    ],
)
def test_what_cannot_be_one_target_is_told(names: tuple[str, ...], task: Any, words: str) -> None:
    with pytest.raises(TableError, match=words):
        columns(*names, task=task)


def test_the_task_says_what_the_cells_leave_open() -> None:
    assert columns("size", "bit", task="regression").several.kind == "numbers"
    assert columns("bit", "sick", task="regression").values[1].tolist() == [0, 0]


def test_rows_without_any_target_are_left_out_and_others_stay() -> None:
    known = read_source(table("price", "size", "bit"), ("price", "size"))
    assert (known.dropped, known.table.column_names) == (1, ["bit"])
    assert (known.name, known.task) == ("price, size", "regression")
    labels = read_source(table("flu", "sick", "bit"), ("flu", "sick"))
    assert labels.dropped == 0
    assert [one.values.tolist() for one in labels.single()] == [
        ["yes", "no", "yes"],
        [True, False, True],
    ]


def test_a_label_is_read_by_its_words_whatever_writes_them() -> None:
    for cells in (["true", "false", None], [True, False, None]):
        found = label_values("sick", pa.chunked_array([cells]), (False, True))
        np.testing.assert_array_equal(found, [1, 0, NAN])
    found = label_values("bit", pa.chunked_array([["1", "0", "NA"]]), (0, 1))
    np.testing.assert_array_equal(found, [1, 0, NAN])
    with pytest.raises(TableError, match="'flu' is a label, no or yes; row 2 holds 'maybe'"):
        label_values("flu", pa.chunked_array([["yes", "maybe"]]), ("no", "yes"))


def test_predictions_are_in_the_tables_words_and_no_name_stands_twice() -> None:
    names = ("flu", "probability_flu", "sex")
    words = (("no", "yes"), (0, 1), ("f", "m"))
    target = LabelsTarget("y", names, (0.5, 0.5, 0.5), words)
    told = Prediction(np.array([[1, 0, 1], [0, 1, 0]]), np.full((2, 3), 0.25))
    found = prediction_table(target, told)
    assert found.column_names == [
        *names,
        *("probability_flu_", "probability_probability_flu", "probability_sex=m"),
    ]
    assert found.slice(0, 1).to_pylist()[0]["flu"] == "yes"
    assert found["sex"].to_pylist() == ["m", "f"]
    assert found["probability_flu"].to_pylist() == [0, 1]


@pytest.mark.parametrize("words", [("a",), (("a", "a"),), (("a", 1),), (("a", "b", "c"),)])
def test_words_that_break_their_rule_are_refused(words: Any) -> None:
    with pytest.raises(ValueError, match="words"):
        LabelsTarget("y", ("a",), (0.5,), words)


def test_settings_take_one_target_or_several() -> None:
    assert Settings(target="a, b").targets == ("a, b",)
    assert Settings(target=["a"]).target == "a"
    assert Settings(target=["a", "b"]).target == Settings(target=["a", "b"]).targets == ("a", "b")
    assert Settings().targets == ()
    for wrong in (["a", "a"], [], [""], 3):
        with pytest.raises(ArgumentError, match="target must be text, or a list"):
            Settings(target=wrong)  # pyright: ignore[reportArgumentType]
