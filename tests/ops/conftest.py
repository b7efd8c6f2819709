"""The implementations that must agree: so far the reference alone."""

from types import ModuleType

import pytest

from selfnorm.ops import _reference


@pytest.fixture(params=["reference"])
def implementation(request: pytest.FixtureRequest) -> ModuleType:
    return {"reference": _reference}[request.param]
