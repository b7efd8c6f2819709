"""Hardware and packages that some tests need: a skip, or a failure where they are required.

`SELFNORM_REQUIRE=cpu,gpu` in the environment says that the kernels must be there.
"""

import os

import pytest


def require(what: str, missing: str | None) -> None:
    """Go on if nothing is missing; else skip, or fail if the environment requires it.

    In a test, or in a module for all of its tests.
    """
    if missing is None:
        return
    if what in os.environ.get("SELFNORM_REQUIRE", "").split(","):
        pytest.fail(f"SELFNORM_REQUIRE names {what}, but {missing}")
    pytest.skip(missing, allow_module_level=True)
