"""What stands around a model's layers: errors that it catches, other audits, mappings, orders."""

from collections import UserDict
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn
from torch.nn import functional

import selfnorm
from selfnorm.init import initialize_

WIDTH, ROWS = 32, 128


class Failing(nn.Module):
    """Runs a layer, and then fails."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        self.body(x)
        raise ValueError("no")


class Catching(nn.Module):
    """Goes on after a part has failed."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = Failing(), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 2)

    def forward(self, x: Tensor) -> Tensor:
        try:
            x = self.first(x)
        except ValueError:
            x = functional.selu(self.second(x))
        return self.head(x)


def test_after_an_error_that_a_model_catches_functions_are_its_own() -> None:
    report = selfnorm.audit(initialize_(Catching()), torch.randn(ROWS, WIDTH))
    owners = {layer.name: layer.module for layer in report.layers}
    assert owners["selu()"] == ""
    assert owners["head"] == "head"


def test_one_model_is_audited_by_two_threads_at_once() -> None:
    model = selfnorm.nn.MLP(WIDTH, 2, width=WIDTH, depth=4)
    x = torch.randn(ROWS, WIDTH)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: selfnorm.audit(model, x), range(2))
    alone = selfnorm.audit(model, x)
    for report in (first, second):
        assert [one.name for one in report.layers] == [one.name for one in alone.layers]
        assert report.ok


class Named(nn.Module):
    """Is called with names, as models of language are."""

    def __init__(self) -> None:
        super().__init__()
        self.body = selfnorm.nn.MLP(WIDTH, 2, width=WIDTH, depth=2)

    def forward(self, *, values: Tensor, mask: Tensor) -> Tensor:
        return self.body(values * mask)


def test_a_mapping_that_is_no_dictionary_gives_arguments_by_name() -> None:
    given = UserDict(values=torch.randn(ROWS, WIDTH), mask=torch.ones(ROWS, 1))
    assert selfnorm.audit(Named(), given).ok


class Turned(nn.Module):
    """Puts channels last behind a convolution, half of which say nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.mix = nn.Conv2d(8, 16, 1), nn.Linear(16, 16)
        self.head = nn.Linear(16, 2)
        initialize_(self)
        nn.init.zeros_(self.conv.weight[:8].data)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.selu(self.conv(x).permute(0, 2, 3, 1))
        return self.head(functional.selu(self.mix(x)))


def test_units_are_channels_wherever_they_stand() -> None:
    report = selfnorm.audit(Turned(), torch.randn(ROWS, 8, 6, 5))
    turned = next(layer for layer in report.layers if layer.activation == "selu")
    assert len(turned.unit_means) == 16
    assert turned.dead == 0.5
    assert any(found.rule == "dead-units" for found in report.findings)


class Exploding(nn.Module):
    """Raises the exponential of what it computes."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 2)
        initialize_(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.two((5 * self.one(x)).exp())


def test_a_variance_that_explodes_is_not_praised() -> None:
    report = selfnorm.audit(Exploding(), torch.randn(ROWS, WIDTH))
    assert not report.ok
    assert not str(report).splitlines()[1].startswith("Self-normalizing")
