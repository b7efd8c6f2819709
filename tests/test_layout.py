"""The structure that DESIGN decides on: which package may import which, and the size of files."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "selfnorm"
ALLOWED = {
    "errors": set(),
    "_callable": set(),
    "_files": set(),
    "_given": set(),
    "_seeded": set(),
    "theory": {"errors"},
    "ops": {"theory", "errors", "_files"},
    "init": {"theory", "errors"},
    "nn": {"ops", "init", "theory", "errors"},
    "audit": {
        "nn",
        "init",
        "theory",
        "plots",
        "errors",
        "_callable",
        "_files",
        "_given",
        "_seeded",
    },
    "convert": {"ops", "nn", "init", "theory", "errors", "_callable", "_given", "_seeded"},
    "tabular": {"nn", "init", "audit", "errors", "_files", "_seeded"},
    "plots": {"theory", "errors", "_files"},
    "cli": {
        "ops",
        "init",
        "nn",
        "audit",
        "convert",
        "tabular",
        "plots",
        "theory",
        "errors",
        "_files",
    },
}
FILES = sorted(SOURCE.rglob("*.py"))


def room(name: str) -> str:
    """`selfnorm.ops._cpu` is in the room `ops`; `selfnorm` itself is the front door."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


def imported(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            module = node.module or ""
            names |= {
                f"{module}.{alias.name}" if module == "selfnorm" else module for alias in node.names
            }
    return {name for name in names if name.split(".")[0] == "selfnorm"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_one_way(path: Path) -> None:
    relative = path.relative_to(SOURCE).with_suffix("")
    own = relative.parts[0]
    wanted = {room(name) for name in imported(ast.parse(path.read_text()))} - {own, ""}
    if own == "__init__":
        assert not wanted, "the front door loads its names lazily"
        return
    assert own in ALLOWED, f"{own} is not in the layout; add it to DESIGN and to this test"
    forbidden = wanted - ALLOWED[own] - {"__version__"}
    assert not forbidden, (
        f"{path.name} imports {sorted(forbidden)}; {own} may import {sorted(ALLOWED[own])}"
    )


def test_theory_never_imports_torch() -> None:
    for path in (SOURCE / "theory").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in modules if name.split(".")[0] == "torch"], path


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_holds_one_concept(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400, f"{path.name}: split it by concept"
