"""Many rows: pieces of them through all layers at once, blocks side by side."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from selfnorm import _torch_private
from selfnorm.errors import TableError
from selfnorm.tabular import TabularModel, _many
from selfnorm.tabular._many import ManyRows, side_by_side
from selfnorm.training._threads import can_be_one
from support.tables import fitted, settings, small_source
from support.tolerances import IN_FLOAT32

SHAPES = {
    "one, deep and orthogonal": {"weights": "orthogonal", "depth": 20, "width": 8},
    "members of two shapes": {"preset": "best", "n_estimators": 2, "epochs": 1, "infinite": False},
    "with infinite width": {"n_estimators": 2},
}


@pytest.fixture(scope="module", params=[*SHAPES, "numbers"])
def model(request: pytest.FixtureRequest) -> TabularModel:
    if request.param == "numbers":
        return fitted(small_source("regression"), settings(n_estimators=3)).model
    return fitted(small_source("classification"), settings(**SHAPES[request.param])).model


@pytest.mark.parametrize("packed", [True, False])
def test_many_rows_are_told_what_few_are(
    model: TabularModel, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not packed:
        without = _torch_private.ways._replace(packed_linear=None)
        monkeypatch.setattr(_torch_private, "ways", without)
    monkeypatch.setattr(_many, "_ROWS", 37)  # pieces of which the last is another
    table = small_source(model.target.task).table
    few, many = (model.teller(many=many).of(model.encoder, table) for many in (False, True))
    assert np.abs(few - many).max() < IN_FLOAT32 * np.abs(few).max()
    assert not np.array_equal(few, many)


def test_onednn_multiplies_where_torch_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = _torch_private.ways.packed_linear
    if packed is None or not torch.backends.mkldnn.is_available():
        pytest.skip("this torch is built without oneDNN")
    asked: list[tuple[int, ...]] = []

    def counted(weight: torch.Tensor, bias: torch.Tensor | None, rows: int) -> object:
        asked.append(tuple(weight.shape))
        return packed(weight, bias, rows)

    monkeypatch.setattr(_torch_private, "ways", _torch_private.ways._replace(packed_linear=counted))
    assert _many._is_right()
    asked.clear()
    ManyRows(torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2)))
    assert sorted(asked) == [(2, 3), (3, 4)]


def test_no_rows_have_no_outputs(model: TabularModel) -> None:
    table = small_source(model.target.task).table.slice(0, 0)
    assert model.teller(many=True).of(model.encoder, table).shape == (0, model.target.outputs)


def test_blocks_keep_their_order_and_are_not_taken_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(20):
            taken.append(number)
            yield number

    found: list[tuple[int, int]] = []
    for number, thread in side_by_side(lambda one: (one, threading.get_ident()), numbers()):
        assert len(taken) <= len(found) + 5
        found.append((number, thread))
    assert [number for number, _ in found] == list(range(20))
    alone = {threading.get_ident()}
    assert {thread for _, thread in found}.isdisjoint(alone) == can_be_one()


def test_what_a_block_raises_is_raised_with_the_row_of_the_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    model = fitted(small_source("classification"), settings()).model
    table = small_source("classification").table
    name = next(column.name for column in model.encoder.columns if column.kind == "number")
    values = table[name].to_numpy().copy()
    values[41] = np.inf
    at = table.column_names.index(name)
    broken = table.set_column(at, name, [values])
    each = model.encoder.each(broken, 7, model.teller(many=True).outputs, side_by_side)
    with pytest.raises(TableError, match="row 42"):
        list(each)
