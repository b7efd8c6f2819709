"""The documentation's examples run, and its figures are there."""

import doctest
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(("page", "least"), [("theory.md", 15), ("theory-training.md", 15)])
def test_the_examples_run(page: str, least: int) -> None:
    failed, tried = doctest.testfile(str(DOCS / page), module_relative=False)
    assert failed == 0
    assert tried > least


def test_the_figures_are_there() -> None:
    """Each in a light and a dark form."""
    linked = re.findall(r"\]\((figures/[^)#]+)#only-(\w+)\)", (DOCS / "theory.md").read_text())
    assert [which for _, which in linked] == ["light", "dark"] * 4
    assert all((DOCS / name).stat().st_size > 1000 for name, _ in linked)
