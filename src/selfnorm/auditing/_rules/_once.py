"""What several rules ask of a recording is worked out once."""

from collections.abc import Callable
from functools import wraps
from typing import TypeVar, cast

from selfnorm.recording import Recording

_Answer = TypeVar("_Answer")


def once(function: Callable[[Recording], _Answer]) -> Callable[[Recording], _Answer]:
    """The same function, which keeps its answer with the recording."""
    name = f"{function.__module__}.{function.__qualname__}"

    @wraps(function)
    def remembered(recording: Recording) -> _Answer:
        if name not in recording.memo:
            recording.memo[name] = function(recording)
        return cast("_Answer", recording.memo[name])

    return remembered
