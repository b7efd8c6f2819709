"""Mappings that are no dictionaries, such as tokenizers give, are arguments by name too."""

from collections import UserDict

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

import selfnorm
from selfnorm._given import as_call, leaves
from selfnorm.init import initialize_


class Encoding(UserDict[str, object]):
    """As HuggingFace's `BatchEncoding` is made."""


class Named(nn.Module):
    """Takes its two inputs by name, or as one mapping."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.act, self.head = nn.Linear(64, 128), nn.SELU(), nn.Linear(128, 2)
        initialize_(self)

    def forward(self, values: Tensor, mask: Tensor) -> Encoding:
        return Encoding(logits=self.head(self.act(self.first(values * mask))))


def encoding(rows: int = 128) -> Encoding:
    torch.manual_seed(0)
    return Encoding(values=torch.randn(rows, 64), mask=torch.ones(rows, 1))


def test_a_mapping_gives_arguments_by_name() -> None:
    given = encoding()
    assert as_call(given) == ((), dict(given))
    assert as_call((1, given)) == ((1, dict(given)), {})
    assert as_call([1]) == (([1],), {})
    assert all(a is b for a, b in zip(leaves([given]), given.values(), strict=True))


def test_an_audit_takes_one_and_sees_the_gradients() -> None:
    model = Named()
    expected = selfnorm.audit(model, dict(encoding())).to_dict()
    assert selfnorm.audit(model, encoding()).to_dict() == expected
    assert expected["rows"] == 128
    assert all(layer["gradient"] > 0 for layer in expected["layers"])


@pytest.mark.parametrize("batch", [16, 64])
def test_a_loader_gives_them(batch: int) -> None:
    loader = DataLoader([0] * 256, batch_size=batch, collate_fn=lambda rows: encoding(len(rows)))
    assert selfnorm.audit(Named(), loader).recording.rows == 4 * batch


def test_a_conversion_runs_on_one() -> None:
    model = Named()
    model.act = nn.ReLU()
    converted, changes = selfnorm.convert(model, example=encoding())
    assert isinstance(converted.act, nn.SELU)
    assert changes.counts()["replaced"] == 1


def test_a_monitor_looks_into_one() -> None:
    class Whole(Named):
        def forward(self, given: Encoding) -> Tensor:  # pyright: ignore
            return super().forward(given["values"], given["mask"])["logits"]  # pyright: ignore

    model = Whole()
    with selfnorm.monitor(model, every=1) as monitor:
        model(encoding()).square().mean().backward()
    assert {record.layer for record in monitor.records} == {"first", "act", "head"}
