"""A training's state goes into its checkpoint and comes out of it, mini-batch by mini-batch."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

from selfnorm.training._batches import Batches
from selfnorm.training._history import Stop
from selfnorm.training._progress import Progress
from selfnorm.training._resume import (
    finished,
    restore,
    restore_finished,
    size_of,
    snapshot_of,
)
from selfnorm.training._sections import Section
from selfnorm.training._snapshot import Snapshot
from selfnorm.training._state import State


class Own(NamedTuple):
    """What of a caller's belongs to the state of a training.

    Attributes:
        take: It, as plain JSON.
        give: Takes that back.
    """

    take: Callable[[], Any]
    give: Callable[[Any], object]


NOTHING = Own(lambda: None, lambda _: None)


class Checkpointer:
    """Who keeps the state of a training.

    Args:
        state: The state.
        batches: The rows that it goes through.
        section: Where it is kept; None keeps nothing.
        own: What of the caller's is kept besides.
    """

    def __init__(
        self, state: State, batches: Batches, section: Section | None, own: Own = NOTHING
    ) -> None:
        self._state, self._batches, self._section, self._own = state, batches, section, own
        self._size = size_of(state.model)

    @property
    def listening(self) -> AbstractContextManager[None]:
        """Inside, whoever wants to end the training may ask for it."""
        return nullcontext() if self._section is None else self._section.listening()

    def resume(self, progress: Progress) -> Stop | None:
        """Take what is left from before; why the training ended, if it has."""
        if self._section is None:
            return None
        found, done = self._section.found
        if found is None:
            return None
        if done:
            stop, own = restore_finished(self._state, found)
            self._own.give(own)
            return stop
        self._own.give(restore(self._state, found))
        epochs = len(self._state.epochs)
        progress.resumed(epochs * self._batches.steps + self._state.steps)
        return None

    def step(self) -> None:
        """A mini-batch is done.

        Raises:
            BaseException: what somebody has asked for.
        """
        if self._section is not None:
            self._section.step(self._take, self._size)

    def finish(self, stop: Stop) -> None:
        """The training is done."""
        if self._section is not None:
            self._section.finish(finished(self._state, stop, self._own.take()), self._size)

    def _take(self) -> Snapshot:
        self._state.place = self._state.sharing.place(self._batches)
        return snapshot_of(self._state, self._own.take())
