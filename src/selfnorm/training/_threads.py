"""How many threads a training works with, where that is not the process's affair.

`torch.set_num_threads` changes the whole process, and two trainings that set and restore it side by
side can leave it at one thread for good. OpenMP keeps the number for each thread that starts
parallel work (https://github.com/joblib/threadpoolctl/issues/207), so here it is changed for the
calling thread alone.
"""

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import nn

# Products in a layer of a mini-batch. Below, a second thread saves about a tenth of the time on an
# idle machine of two cores, and costs several times as much as it saves on a busy one.
_WORTH_THREADS = 2**23


def threads_for(model: nn.Module, rows: int) -> AbstractContextManager[Any]:
    """One thread for layers so small that threads wait longer for each other than they work."""
    largest = max((parameter.numel() for parameter in model.parameters()), default=0)
    if rows * largest >= _WORTH_THREADS:
        return nullcontext()
    return one_thread()


def one_thread() -> AbstractContextManager[Any]:
    """Inside, the calling thread works alone."""
    # torch sets its own number in a thread that it meets for the first time: before, not within.
    torch.get_num_threads()
    controller = _controller()
    return nullcontext() if controller is None else controller.limit(limits=1, user_api="openmp")


def can_be_one() -> bool:
    """Whether the calling thread's number can be changed without that of others."""
    return _controller() is not None


@cache
def _controller() -> Any:
    """What sets OpenMP's number for the calling thread; None where threadpoolctl is missing."""
    try:
        from threadpoolctl import ThreadpoolController  # noqa: PLC0415 - comes with scikit-learn
    except ImportError:
        return None
    return ThreadpoolController()
