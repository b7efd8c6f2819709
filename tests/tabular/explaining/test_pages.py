"""Pages: of 2 classes, of 200 and of numbers, and that data cannot break them."""

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from selfnorm.errors import ArgumentError, SelfNormWarning
from selfnorm.tabular import Settings, fit
from selfnorm.tabular.explaining._explain import explain
from selfnorm.tabular.explaining._explained import explained_page
from support.tables import fitted, small_source, small_table

QUICK = Settings(preset="fast", width=16, depth=2, epochs=2, test=0.0)


class Page(HTMLParser):
    """What stands on a page, and whether its elements close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words, self.tags, self._open = "", set[str](), list[str]()
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.add(tag)
        assert not any(name in ("src", "onload") for name, _ in attrs)
        if tag != "meta":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += f"{data}\n"


def test_a_page_tells_of_two_classes(tmp_path: Path) -> None:
    result = fit(small_table().drop_columns(["amount"]), replace(QUICK, target="label"))
    assert "report.html" in result.save(tmp_path / "m")
    page = Page((tmp_path / "m" / "report.html").read_text())
    for words in (
        "label: 2 classes (big, small)",
        "each predicted by networks that did not learn from it",
        "Calibration",
        "Confusion matrix",
        "told small",
        "category of 3",
        "Variance by layer",
        "theorem 1",
        "Loss by epoch",
        "preset",
        "torch ",
    ):
        assert words in page.words, words
    assert "script" not in page.tags


def test_a_page_tells_of_many_classes_and_data_cannot_break_it() -> None:
    rng = np.random.default_rng(0)
    code = np.arange(400) % 200
    table = pa.table({"<script>x": code + rng.normal(size=400), "</td>": [f"<b>{c}" for c in code]})
    page = Page(fit(table, replace(QUICK, target="</td>")).to_html())
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert "<script>x" in page.words
    for words in ("Classes told by true classes", "Classes that are found least", "200 classes"):
        assert words in page.words


@pytest.mark.parametrize(
    ("changes", "whose"),
    [({"test": 0.2}, "24 rows held out"), ({"validation": 0.0}, "which were learned from")],
)
def test_a_page_tells_of_numbers_and_whose_they_are(changes: dict, whose: str) -> None:
    table = small_table().drop_columns(["label"])
    page = Page(fit(table, replace(QUICK, target="amount", n_estimators=1, **changes)).to_html())
    for words in (whose, "True by told", "Residual by told", "RMSE"):
        assert words in page.words


def test_what_nobody_looked_at_has_no_page() -> None:
    with pytest.raises(ArgumentError, match="has looked at"):
        fitted(small_source("regression")).to_html()


def test_an_explanation_is_a_page_too() -> None:
    table = small_table().drop_columns(["amount"])
    model = fit(table, replace(QUICK, target="label")).model
    page = Page(explained_page("t.csv", explain(model, table, row=2)))
    for words in ("Row 2", "Importance of columns", "By size", "By city: probability of"):
        assert words in page.words


def test_fit_warns_of_what_it_doubts() -> None:
    table = small_table().drop_columns(["amount"])
    told = table.append_column("answer", table["label"]).append_column("one", pa.array([1] * 120))
    with pytest.warns(SelfNormWarning) as warned:
        fit(told, replace(QUICK, target="label"))
    words = " ".join(str(one.message) for one in warned)
    assert "'answer' tells 'label'" in words
    assert "Columns are left out: 'one'" in words
