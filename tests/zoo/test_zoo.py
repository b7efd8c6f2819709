"""The part of the zoo that needs torch alone: `make zoo` has the rest."""

import pytest
from tests.zoo._checks import RIGHT, Result, check
from tests.zoo._counts import counts, failed, line
from tests.zoo._network import Network
from tests.zoo.networks.own import SHELF


@pytest.fixture(scope="module", params=SHELF.networks, ids=lambda network: network.name)
def result(request: pytest.FixtureRequest) -> Result:
    network: Network = request.param
    return check(network, exports=False)


def test_a_conversion_works_and_does_no_harm(result: Result) -> None:
    assert not result.skipped
    assert not result.crashed
    assert not result.harm
    assert not failed([result])


def test_selus_are_right_with_an_example(result: Result) -> None:
    low, high = RIGHT
    assert all(low <= variance <= high for variance in result.variances.values()), line(result)
    assert counts([result])["harm"] == 0


def test_harm_is_seen() -> None:
    wrong = Result("torch", "one", variances={"act": 3.0}, harm=["its weights changed"])
    assert failed([wrong])
    assert counts([wrong])["right with example"] == 0
    assert "HARM its weights changed" in line(wrong)
