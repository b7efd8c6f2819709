"""One thread for small layers, in the calling thread alone."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from selfnorm.training import Rows, Shuffled
from selfnorm.training._loop import train_epoch
from selfnorm.training._options import Options
from selfnorm.training._state import State
from selfnorm.training._threads import _WORTH_THREADS, threads_for

SMALL = nn.Linear(16, 16)
LARGE = nn.Linear(512, 512)


@pytest.fixture(autouse=True)
def three() -> Iterator[None]:
    """A number of threads that no default is."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def elsewhere() -> int:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.get_num_threads).result()


def test_small_layers_get_one_thread_and_the_process_keeps_its_own() -> None:
    with threads_for(SMALL, 64):
        assert torch.get_num_threads() == 1
        assert elsewhere() == 3
    assert torch.get_num_threads() == elsewhere() == 3


def test_large_layers_keep_all() -> None:
    rows = _WORTH_THREADS // LARGE.weight.numel()
    with threads_for(LARGE, rows):
        assert torch.get_num_threads() == 3
    with threads_for(LARGE, rows - 1):
        assert torch.get_num_threads() == 1


def test_an_error_inside_gives_the_threads_back() -> None:
    with pytest.raises(KeyboardInterrupt), threads_for(SMALL, 64):
        raise KeyboardInterrupt
    assert torch.get_num_threads() == 3


def test_in_a_thread_that_torch_has_not_met() -> None:
    """There torch sets its own number at its first parallel work; that must not be inside."""

    def inside() -> tuple[int, int]:
        with threads_for(SMALL, 64):
            SMALL(torch.ones(8, 16))
            number = torch.get_num_threads()
        return number, torch.get_num_threads()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(inside).result() == (1, 3)


def test_a_model_without_parameters_is_small() -> None:
    with threads_for(nn.Identity(), 64):
        assert torch.get_num_threads() == 1


def test_an_epoch_of_small_layers_takes_one_thread() -> None:
    seen: list[int] = []

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        seen.append(torch.get_num_threads())
        return nn.functional.mse_loss(outputs, targets)

    model = nn.Linear(2, 1)
    state = State.start(model, Options(), 2, None)
    train_epoch(state, Shuffled(Rows(torch.ones(8, 2), torch.ones(8, 1)), 4), loss)
    assert seen == [1, 1]
    assert torch.get_num_threads() == 3
