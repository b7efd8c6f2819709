"""What README and the documentation tell a reader to type works."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner

from selfnorm.cli._app import app
from support.jaxed import require_jax
from support.kerased import require_keras
from support.pages import KINDS, PAGES, ROOT, Block, blocks, commands
from support.require import require


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_blocks_say_what_they_are(page: Path) -> None:
    for block in blocks(page):
        assert block.kind in KINDS, f"{page.name}:{block.line} is '{block.kind}', not of {KINDS}"


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=named)
def test_what_a_page_says_to_type_works(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks of a page run in order, in one folder and one namespace."""
    if "import jax" in page.read_text():
        require_jax("flax", "equinox", "optax")
    if "import keras" in page.read_text():
        require_keras()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    names = {"__name__": "__main__"}
    for block in blocks(page):
        if block.kind == "python":
            run_python(page, block, names)
        if block.kind == "sh":
            for arguments in commands(block):
                run_command(page, block, arguments)


def run_python(page: Path, block: Block, names: dict[str, str]) -> None:
    """Run a block; a traceback names the page and its line."""
    padded = "\n" * (block.line - 1) + block.code
    exec(compile(padded, str(page), "exec"), names)  # noqa: S102 - our own pages


def run_command(page: Path, block: Block, arguments: list[str]) -> None:
    """Run a command; trainings go for one epoch, which shows that the command is right."""
    if arguments[:1] == ["fit"] and "--help" not in arguments:
        arguments = [*arguments, "--epochs", "1"]
    outcome = CliRunner().invoke(app, arguments)
    said = f"{page.name}:{block.line}: selfnorm {' '.join(arguments)}\n{outcome.output}"
    assert outcome.exit_code == 0, said


def test_a_wrong_command_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    block = Block("sh", "make demo\nselfnorm fit none.csv | head -1  # not there\n", 1)
    assert commands(block) == [["fit", "none.csv"]]
    with pytest.raises(AssertionError, match=r"There is no file 'none\.csv'"):
        run_command(Path("page.md"), block, commands(block)[0])


def test_the_site_builds_strictly(tmp_path: Path) -> None:
    """Links, anchors, navigation and names of the reference hold; search works from a disk.

    Never with `--quiet`: it hides warnings from mkdocs itself, and then `--strict` finds none.
    """
    require("mkdocs", None if find_spec("mkdocs") else "mkdocs is not installed")
    outcome = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert (tmp_path / "search" / "search_index.js").read_text().startswith("var __index = {")
    for page in set(tmp_path.rglob("*.html")) - {tmp_path / "404.html"}:  # it is for servers
        fetched = loads(page.read_text())
        assert any("iframe-worker" in name for name in fetched), f"{page}: no search from a disk"
        for name in fetched:
            assert (page.parent / name.partition("#")[0]).is_file(), f"{page} loads {name}"


def loads(page: str) -> list[str]:
    """What a page loads as it opens, but for what it holds itself."""
    found = re.findall(r'<(?:script|img|link)\b[^>]*?\b(?:src|href)="([^"]+)"', page)
    return [name for name in found if not name.startswith("data:")]
