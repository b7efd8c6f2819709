"""A deprecation of ours is an error; what another package does within itself is its own affair."""

import subprocess
import sys
import warnings
from collections.abc import Callable

import pytest

from selfnorm.errors import SelfNormWarning
from support.strict import STRICT

DEPRECATIONS = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
OLD = """
import warnings

def old(category):
    warnings.warn("Use new.", category, stacklevel=2)  # said of the caller, as is the custom

def within(category):
    old(category)
"""


def module(name: str, code: str, **names: object) -> Callable[[type[Warning]], None]:
    """The last function of a module of this name."""
    namespace = {"__name__": name, **names}
    exec(code, namespace)  # noqa: S102 - the code above and below
    return [value for value in namespace.values() if callable(value)][-1]


@pytest.mark.parametrize("category", DEPRECATIONS)
@pytest.mark.parametrize("name", ["typer", "torch.utils", "selfnormal", "sklearn.tests.support"])
def test_another_package_may_do_what_is_deprecated(name: str, category: type[Warning]) -> None:
    module(name, OLD)(category)


@pytest.mark.parametrize("category", DEPRECATIONS)
@pytest.mark.parametrize("name", ["selfnorm", "selfnorm.ops._cpu", "tests.nn", "support.pages"])
def test_we_may_not(name: str, category: type[Warning]) -> None:
    within = module("typer", OLD)
    ours = module(name, "def ours(category): old(category)", old=within.__globals__["old"])
    with pytest.raises(category, match=r"Use new\."):
        ours(category)


@pytest.mark.parametrize("category", DEPRECATIONS)
def test_nor_may_a_test(category: type[Warning]) -> None:
    with pytest.raises(category):
        warnings.warn("Use new.", category, stacklevel=1)


@pytest.mark.parametrize("category", [UserWarning, RuntimeWarning, SelfNormWarning])
def test_any_other_warning_is_an_error_wherever_it_arises(category: type[Warning]) -> None:
    with pytest.raises(category):
        module("typer", OLD)(category)


@pytest.mark.parametrize("category", [category.__name__ for category in DEPRECATIONS])
def test_programs_are_held_to_the_same(category: str) -> None:
    def run(where: str) -> int:
        code = f"import warnings; warnings.warn_explicit('', {category}, '', 1, module='{where}')"
        return subprocess.run(
            [sys.executable, *STRICT, "-c", code], check=False, capture_output=True
        ).returncode

    assert (run("typer"), run("__main__")) == (0, 1)
