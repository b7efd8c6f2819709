"""The public lists, the reference pages and the docstrings say the same."""

import importlib
import inspect
import re
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

import selfnorm

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"
FUNCTIONS = {"selu", "alpha_dropout", "selu_alpha_dropout", "audit", "convert", "deploy", "monitor"}
ESTIMATORS = {"SelfNormClassifier", "SelfNormRegressor"}
PACKAGES = {
    "auditing",
    "converting",
    "errors",
    "init",
    "jax",
    "jax.equinox",
    "jax.init",
    "jax.nnx",
    "keras",
    "nn",
    "ops",
    "optim",
    "plots",
    "recording",
    "tabular",
    "testing",
    "theory",
    "training",
    "watch",
}
if not all(map(find_spec, ("jax", "equinox", "flax", "optax"))):
    PACKAGES = {name for name in PACKAGES if not name.startswith("jax")}
if not find_spec("keras"):
    PACKAGES -= {"keras"}
SHOWN = re.compile(r"^::: (\S+)$", re.MULTILINE)


def package(name: str) -> ModuleType:
    return importlib.import_module(f"selfnorm.{name}")


def public(module: ModuleType) -> list[str]:
    """A module's public names: its list, or without one every class that it defines."""
    if hasattr(module, "__all__"):
        return [n for n in module.__all__ if not inspect.ismodule(getattr(module, n))]
    own = (name for name, value in vars(module).items() if inspect.isclass(value))
    return [name for name in own if vars(module)[name].__module__ == module.__name__]


def shown() -> list[str]:
    """The names that the reference pages render."""
    return [
        name
        for page in sorted(REFERENCE.glob("*.md"))
        if page.stem in PACKAGES or page.stem == "index"
        for name in SHOWN.findall(page.read_text())
    ]


def defined_as(module: str, name: str) -> str:
    """One name for one object: `selfnorm.selu` and `selfnorm.ops.selu` are the same function."""
    value = getattr(importlib.import_module(module), name)
    return f"{value.__module__}.{value.__qualname__}" if is_code(value) else f"{module}.{name}"


def is_code(value: object) -> bool:
    return inspect.isclass(value) or inspect.isfunction(value)


def test_the_front_door_has_the_names_that_the_design_lists() -> None:
    names = set(selfnorm.__all__)
    assert names - PACKAGES - {"jax", "keras"} == FUNCTIONS | ESTIMATORS
    assert names & PACKAGES == {name for name in PACKAGES if "." not in name}
    assert all(callable(getattr(selfnorm, name)) for name in FUNCTIONS)
    for name in names:
        assert getattr(selfnorm, name) is not None


def test_the_reference_shows_every_public_name_once() -> None:
    rendered = Counter(defined_as(*name.rsplit(".", 1)) for name in shown())
    wanted = {
        defined_as(f"selfnorm.{room}", name) for room in PACKAGES for name in public(package(room))
    }
    assert sorted(wanted - set(rendered)) == [], "add to docs/reference"
    assert sorted(set(rendered) - wanted) == [], "not public: remove from docs/reference"
    assert max(rendered.values()) == 1, rendered.most_common(1)


@pytest.mark.parametrize("room", sorted(PACKAGES))
def test_every_public_object_has_a_docstring(room: str) -> None:
    module = package(room)
    assert module.__doc__
    for name in public(module):
        value = getattr(module, name)
        if not is_code(value):
            continue
        assert value.__doc__, f"selfnorm.{room}.{name}"
        for member, method in vars(value).items() if inspect.isclass(value) else ():
            if inspect.isfunction(method) and not member.startswith("_"):
                assert inspect.getdoc(method), f"selfnorm.{room}.{name}.{member}"
