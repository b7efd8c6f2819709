"""Torch is not needed, and JAX that is too old is told in one line."""

import subprocess
import sys

import pytest

from selfnorm import _extras
from selfnorm.errors import MissingPackageError
from support.jaxed import require_jax

require_jax()

WITHOUT_TORCH = """
import sys
class Finder:
    def find_spec(name, path=None, target=None):
        if name == "torch":
            raise SystemExit("torch is asked for, which may be there or not")
sys.meta_path.insert(0, Finder)
import jax
import selfnorm
sn = selfnorm.jax
z = jax.jit(sn.selu_alpha_dropout)(jax.random.key(0), jax.numpy.ones((4, 3)))
print(z.shape, sn.selu(1.0))
"""


def test_torch_is_neither_needed_nor_imported() -> None:
    outcome = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_TORCH],
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout == "(4, 3) 1.050701\n"


def test_what_is_too_old_is_one_line() -> None:
    _extras.check_version("jax", (0, 10))
    with pytest.raises(
        MissingPackageError, match=r"JAX 99\.0 or later; .* is installed\. pip inst"
    ):
        _extras.check_version("jax", (99, 0))
