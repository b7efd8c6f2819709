"""The lowest versions that pyproject.toml allows are those that `make test-lowest` tests."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from selfnorm import _extras

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
PUBLIC = EXTRAS.keys() - {"all", "bench", "dev", "examples", "paper", "tabular"}
NEEDED = PROJECT["dependencies"] + [line for extra in sorted(PUBLIC) for line in EXTRAS[extra]]
OPTIONAL = (
    EXTRAS["dev"] + EXTRAS["bench"] + EXTRAS["examples"] + EXTRAS["paper"] + EXTRAS["tabular"]
)
TESTED_BY_HAND = {"torch", "jax", "optax", "keras"}  # pyproject.toml says how


def pins() -> dict[str, str]:
    lines = re.findall(r"^([\w.-]+)==(.+)$", (ROOT / "constraints-lowest.txt").read_text(), re.M)
    return {canonicalize_name(name): version for name, version in lines}


def floor(line: str) -> tuple[str, str | None]:
    requirement = Requirement(line)
    floors = [bound.version for bound in requirement.specifier if bound.operator == ">="]
    return canonicalize_name(requirement.name), floors[0] if floors else None


def is_tested(name: str, version: str) -> bool:
    """A floor 1.2 is tested by 1.2 and 1.2.0, and not by 1.2.1 or 1.20."""
    return re.fullmatch(re.escape(version) + r"(\.0)*", pins().get(name, "")) is not None


@pytest.mark.parametrize("line", NEEDED)
def test_what_is_needed_has_a_floor(line: str) -> None:
    assert floor(line)[1] is not None


@pytest.mark.parametrize("line", [line for line in NEEDED + OPTIONAL if floor(line)[1]])
def test_a_floor_is_tested(line: str) -> None:
    name, version = floor(line)
    assert version is not None
    assert is_tested(name, version) or name in TESTED_BY_HAND, "pin it in constraints-lowest.txt"


def test_all_is_all() -> None:
    assert EXTRAS["all"] == [f"selfnorm[{','.join(sorted(PUBLIC))}]"]
    assert {extra for _, extra in _extras.EXTRAS.values()} - {""} == PUBLIC


def test_a_floor_that_nothing_tests_is_found() -> None:
    numpy = pins()["numpy"]
    assert is_tested("numpy", numpy)
    assert not is_tested("numpy", numpy[:-1])
    assert not is_tested("numpy", "1.2")
    assert not is_tested("none", "1")
