"""Processes that write or end behind the same mini-batch."""

import pytest
import torch

from selfnorm.training import Processes
from selfnorm.training import _agreement as agreement
from selfnorm.training._agreement import Agreement
from selfnorm.training._pace import Pace


class Among(Processes):
    """One of two; what the other wants comes from a list."""

    def add(self, values: torch.Tensor) -> torch.Tensor:
        HEARD.append(values.tolist())
        return values.add_(torch.tensor(SAYS.pop(0), dtype=values.dtype))


HEARD: list[list[float]] = []
SAYS: list[list[float]] = []


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that pass only where a test says so."""
    now = [0.0]
    monkeypatch.setattr(agreement.time, "monotonic", lambda: now[0])
    HEARD.clear()
    SAYS.clear()
    return now


def test_the_first_says_when_to_write_and_when_to_ask_again(clock: list[float]) -> None:
    pace = Pace(1e9, steps=6)
    first = Agreement(Among(0, 2), pace)
    SAYS.extend([0.0, 0.0, 0.0] for _ in range(4))
    found = []
    for _ in range(10):
        clock[0] += 0.25
        found.append(first.step(0, end=False))
        if found[-1][0]:
            pace.wrote(0.0)
    # Behind one mini-batch; four later, as it took 0.25 s; one later, as the sixth makes one due.
    assert found == [(False, False)] * 5 + [(True, False)] + [(False, False)] * 4
    assert HEARD == [[0, 0, 4], [0, 0, 1], [1, 0, 4], [0, 0, 2]]


def test_others_do_as_the_first_says(clock: list[float]) -> None:
    other = Agreement(Among(1, 2), Pace(0.0, steps=1))  # which nobody asks for
    SAYS.extend([[0.0, 0.0, 3.0], [1.0, 0.0, 5.0]])
    found = []
    for _ in range(4):
        clock[0] += 9
        found.append(other.step(0, end=False))
    assert found == [(False, False)] * 3 + [(True, False)]
    assert HEARD == [[0, 0, 0]] * 2


@pytest.mark.parametrize("rank", [0, 1])
def test_all_write_and_end_where_one_is_to(rank: int) -> None:
    SAYS.append([0.0, 1.0, 1.0])
    assert Agreement(Among(rank, 2), Pace(1e9, None)).step(0, end=False) == (True, True)


def test_a_process_that_is_alone_asks_nobody() -> None:
    alone = Agreement(Processes(), Pace(1e9, steps=2))
    assert [alone.step(0, end=False) for _ in range(2)] == [(False, False), (True, False)]
    assert alone.step(0, end=True) == (True, True)
