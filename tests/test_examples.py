"""Every example runs as a reader runs it, and asserts its own claim."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from support.jaxed import require_jax
from support.kerased import require_keras
from support.strict import STRICT

# Sixteen trainings: at half the depth each claim still holds.
SMALLER = {"depth": ["--depth", "50"]}
EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path: Path, tmp_path: Path) -> None:
    if "import jax" in path.read_text():
        require_jax("flax", "equinox", "optax")
    if "import keras" in path.read_text():
        require_keras()
    tree = ast.parse(path.read_text())
    assert "What one learns:" in (ast.get_docstring(tree) or "")
    assert any(isinstance(node, ast.Assert) for node in ast.walk(tree)), "an example has a claim"
    outcome = subprocess.run(
        [sys.executable, *STRICT, path, *SMALLER.get(path.stem, [])],
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
