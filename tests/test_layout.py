"""The structure that the design decides on: who may import whom, who needs torch, and sizes."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "selfnorm"
# What a package may import besides itself; every list names only what stands above it.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "_extras": {"errors"},
    "_lazy": {"_extras"},
    "_files": set(),
    "_torch_private": set(),
    "_given": {"_torch_private"},
    "_parameters": {"errors"},
    "_seeded": set(),
    "_lightning": {"errors"},
    "theory": {"_lazy", "_extras", "_parameters", "errors"},
    "_spec": {"theory"},
    "ops": {"_lazy", "_spec", "theory", "errors", "_files", "_torch_private"},
    "init": {"theory", "errors"},
    "optim": {"init", "_lazy", "_lightning", "_parameters", "errors", "_torch_private"},
    "nn": {
        *("_lazy", "ops", "init", "theory", "errors", "_parameters", "_given"),
        "_torch_private",
    },
    "jax": {
        *("_spec", "recording", "auditing", "theory", "errors", "_lazy", "_extras", "_parameters"),
    },
    "keras": {
        *("_spec", "recording", "auditing", "theory", "errors", "_lazy", "_extras", "_parameters"),
        *("converting", "plots"),
    },
    "recording": {"_lazy", "theory", "errors"},
    "report": {"theory", "errors"},
    "plots": {"report", "theory", "errors", "_parameters", "_files"},
    "watch": {
        *("recording", "plots", "optim", "init", "theory", "errors", "_seeded"),
        "_torch_private",
        *("_extras", "_given", "_lightning", "_parameters"),
    },
    "auditing": {
        *("watch", "recording", "report", "plots", "theory", "errors", "_files"),
        *("_extras", "_lazy"),
    },
    "testing": {"auditing"},
    "converting": {
        *("ops", "nn", "init", "theory", "errors", "_seeded", "_given", "_torch_private"),
        *("watch", "recording", "_lazy"),
    },
    "__main__": {"cli"},
    "training": {"optim", "_lazy", "errors", "_parameters", "_files"},
    "tabular": {
        *("theory", "training", "watch", "recording", "plots", "nn", "_lazy", "errors", "_files"),
        *("_parameters", "_extras", "report", "_torch_private", "init"),
    },
    "cli": {
        *("tabular", "training", "converting", "auditing", "watch", "plots", "report"),
        *("recording", "nn", "ops", "theory", "errors", "_files", "_parameters", "_extras"),
    },
}
# Where torch may not be installed at all. Of auditing one file talks to models.
WITHOUT_TORCH = (
    *("theory", "recording", "report", "plots", "auditing", "jax", "keras"),
    *("_spec", "_parameters", "errors"),
)
TALKS_TO_MODELS = {"auditing/_audit.py"}
FILES = sorted(SOURCE.rglob("*.py"))
MODULES = {
    ".".join(("selfnorm", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): path
    for path in FILES
}


def room(name: str) -> str:
    """`selfnorm.ops._cpu` is in the room `ops`; `selfnorm` itself is the front door."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


@cache
def imports(path: Path) -> list[tuple[str, str]]:
    """Every (module, name) that a file imports, also inside functions and for types alone."""
    found: list[tuple[str, str]] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found += [(node.module or "", alias.name) for alias in node.names]
    return found


def own_imports(path: Path) -> set[str]:
    """The modules of selfnorm that a file imports, as exactly as its words tell."""
    found: set[str] = set()
    for module, name in imports(path):
        if module.split(".")[0] == "selfnorm":
            deeper = f"{module}.{name}"
            found.add(deeper if deeper in MODULES or module == "selfnorm" else module)
    return found


def each_file() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))


@each_file()
def test_imports_go_one_way_between_packages(path: Path) -> None:
    own = path.relative_to(SOURCE).with_suffix("").parts[0]
    wanted = {room(name) for name in own_imports(path)} - {own, "", "__version__"}
    if own == "__init__":
        assert wanted == {"_lazy"}, "the front door loads its names lazily"
        return
    assert own in ALLOWED, f"{own} is not in the layout; add it to docs/design.md and to this test"
    forbidden = wanted - ALLOWED[own]
    assert not forbidden, f"{path.name} imports {sorted(forbidden)}; see {own} in this test"


def test_the_list_itself_goes_one_way() -> None:
    """No two packages may import each other, directly or around."""
    assert not cycle({package: sorted(allowed) for package, allowed in ALLOWED.items()})


def test_imports_go_one_way_inside_packages() -> None:
    graph = {
        name: sorted(own_imports(path) & MODULES.keys() - {name}) for name, path in MODULES.items()
    }
    assert not cycle(graph)


def cycle(graph: dict[str, list[str]]) -> list[str]:
    """A chain of imports that comes back to where it began; empty if there is none."""
    done: set[str] = set()

    def follow(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        for target in graph[name]:
            if found := follow(target, [*way, name]):
                return found
        done.add(name)
        return []

    return next((found for name in graph if (found := follow(name, []))), [])


def test_a_cycle_is_found() -> None:
    assert cycle({"a": ["b"], "b": ["c"], "c": ["b"]}) == ["b", "c", "b"]
    assert not cycle({"a": ["b", "c"], "b": ["c"], "c": []})


@each_file()
def test_what_needs_no_torch_does_not_import_it(path: Path) -> None:
    place = path.relative_to(SOURCE)
    if place.as_posix() in TALKS_TO_MODELS:
        return
    if place.with_suffix("").parts[0] in WITHOUT_TORCH:
        assert not [name for name, _ in imports(path) if name.split(".")[0] == "torch"]


@each_file()
def test_private_names_of_torch_stand_in_one_place(path: Path) -> None:
    if path.name == "_torch_private.py":
        return
    for module, name in imports(path):
        private = [part for part in (*module.split("."), name) if part.startswith("_")]
        assert module.split(".")[0] != "torch" or not private, (module, name)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and re.match("_(?!_)", node.attr):
            assert ast.unparse(node.value) not in {"torch", "torch._C"}, ast.unparse(node)


def test_nothing_imports_the_command_line() -> None:
    for path in FILES:
        if path.relative_to(SOURCE).parts[0] not in {"cli", "__main__.py"}:
            assert not {name for name in own_imports(path) if room(name) == "cli"}, path


@each_file()
def test_a_file_holds_one_concept(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400, f"{path.name}: split it by concept"


@each_file()
def test_the_processs_warning_filters_are_left_alone(path: Path) -> None:
    """In threads `catch_warnings` restores them in the wrong order; the command line has but one.

    https://github.com/python/cpython/issues/128384: since Python 3.14 a flag mends it.
    """
    assert "catch_warnings" not in path.read_text() or path.parent.name == "cli"
