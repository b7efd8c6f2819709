"""Every rule has its page, and every page its rule."""

import re

import pytest

from selfnorm.auditing import rule_names
from support.pages import ROOT

RULES = ROOT / "docs" / "rules"


@pytest.mark.parametrize("name", rule_names())
def test_a_rule_has_a_page(name: str) -> None:
    text = (RULES / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    for heading in ("## Why", "## How it is judged", "## How to mend it"):
        assert len(text.split(heading)[1].split("##")[0].split()) > 3, heading
    assert f"rules/{name}.md" in (ROOT / "mkdocs.yml").read_text()


def test_the_list_has_them_in_order() -> None:
    listed = re.findall(r"^\| \[([a-z0-9-]+)\]\(\1\.md\)", (RULES / "index.md").read_text(), re.M)
    assert tuple(listed) == rule_names()
    assert {path.stem for path in RULES.glob("*.md")} == {*rule_names(), "index"}
