"""Checkpoints of a training: where they are, who holds them, and what may be gone on from."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from selfnorm._parameters import Number, Whole
from selfnorm.errors import ArgumentError, CheckpointError
from selfnorm.training._folder import Folder
from selfnorm.training._pace import Pace
from selfnorm.training._processes import ALONE, Processes, restarted
from selfnorm.training._sections import CheckpointStore, Section


class Checkpoint:
    """Where a training keeps what it needs to go on after its process or its machine has died.

    A folder of safetensors files: network, optimizer, generators, position in the data, epochs.
    Each is written under a temporary name, brought to the disk, and renamed; two are kept, and one
    that is damaged all the same is passed over for the one before. What goes on from there has the
    weights of an undisturbed training bit for bit, on the same machine with as many threads.

    A `fit` that is given one removes it at its end. Whoever wants to be sure of the result first
    enters it as a context manager around the fit, and calls `remove()`. While it is entered no
    other process may enter it.

    Of several processes that train together the first alone reads and writes; each makes one, and
    they write behind the same mini-batch. Processes that `torchrun` has started again, as one had
    died, go on from what is there, whatever `resume` says.

    Args:
        folder: Where to; it is made if needed. Of several processes only the first needs it.
        resume: True goes on from what is there, if anything is. False discards it. None refuses to
            begin where there is something.
        every: Seconds from one write to the next. None writes as often as costs less than 1 % of
            the time, by what writes have taken, and not before 3 seconds.
        steps: Mini-batches after which one is written, too; None for never.
        about: What else has to be the same to go on, as plain JSON.
        processes: Those that train together.

    Raises:
        ArgumentError: `every` or `steps` breaks its rule.

    Example:
        >>> import selfnorm, tempfile, torch
        >>> from selfnorm.training import Options, Rows, Shuffled, fit
        >>> model, inputs = selfnorm.nn.MLP(4, 1, width=8, depth=2), torch.randn(64, 4)
        >>> batches = Shuffled(Rows(inputs, inputs[:, :1]), 16)
        >>> night = Checkpoint(f"{tempfile.mkdtemp()}/night", resume=True)
        >>> fit(model, batches, loss=torch.nn.functional.mse_loss, options=Options(epochs=2),
        ...     checkpoint=night).stop
        'epochs'
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        resume: bool | None = None,
        every: float | None = None,
        steps: int | None = None,
        about: Mapping[str, Any] | None = None,
        processes: Processes = ALONE,
    ) -> None:
        if every is not None and not Number(0, math.inf).holds(every):
            raise ArgumentError(
                f"every is seconds, 0 or more, or None; {every!r} came. Try every=600."
            )
        if steps is not None and not Whole(1).holds(steps):
            raise ArgumentError(
                f"steps counts mini-batches, 1 or more, or None; {steps!r} came. Try steps=1000."
            )
        self.folder, self.processes = Path(folder), processes
        self.resume = True if restarted(os.environ) else resume
        self._about = dict(about or {})
        self._folder, self._pace = Folder(self.folder), Pace(every, steps)
        self._store = CheckpointStore(self._folder, self._pace, processes)
        self._entered, self._begun = 0, False

    def __enter__(self) -> Self:
        """Hold the folder.

        Raises:
            CheckpointError: another process does; the folder cannot be written to; or there is
                something, and nobody has said what to do with it.
        """
        if not self._entered and self._first:
            self._folder.enter()
            if self.resume is None and self.exists:
                self.leave()
                raise CheckpointError(
                    f"A training that was cut off has left a checkpoint in '{self.folder}'. Go on "
                    "from it with --resume (in Python resume=True), or discard it with "
                    "--no-resume (resume=False)."
                )
            if self.resume is False:
                self._folder.empty()
        self._entered += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._entered -= 1
        if self._entered:
            return
        if error is not None and self._store.unwritten:  # parts that are done are worth keeping
            self._store.write()
        self.leave()

    @property
    def _first(self) -> bool:
        return self.processes.rank == 0

    @property
    def entered(self) -> bool:
        """Whether it is held."""
        return self._entered > 0

    @property
    def exists(self) -> bool:
        """Whether there is something to go on from."""
        return bool(self._folder.files) or self.table.exists()

    @property
    def table(self) -> Path:
        """Where a table that took long to make ready is kept beside it."""
        return self._folder.table

    @property
    def spent(self) -> float:
        """Seconds that writing has taken."""
        return self._pace.spent

    def leave(self) -> None:
        """Hold the folder no longer; if it is empty, it is removed."""
        self._folder.leave()

    def begin(self, identity: Mapping[str, Any]) -> None:
        """Look once for what a training before has left.

        Args:
            identity: What has to be the same to go on from it, as plain JSON.

        Raises:
            CheckpointError: what is there is of another training.
        """
        if not self._begun:
            self._store.begin({**identity, **self._about})
            self._begun = True

    def section(self, name: str) -> Section:
        """A part of the training, such as one of several networks, by its name."""
        return Section(self._store, name)

    def ask(self, error: BaseException) -> bool:
        """Let a training raise an error as soon as its mini-batch is done and kept.

        For handlers of signals: an error that they raise themselves comes up anywhere, also in the
        middle of a step of the optimizer, of which nothing can be kept.

        Returns:
            False if no mini-batch is under way, or if it is asked for again.
        """
        return self._store.ask(error)

    def remove(self) -> None:
        """Remove what is there: the result is safe, or not wanted."""
        if self._first:
            self._store.forget()

    def require(self, processes: Processes) -> None:
        """Raise unless it is of the processes that train.

        Raises:
            ArgumentError: it is of others.
        """
        if (self.processes.rank, self.processes.size) != (processes.rank, processes.size):
            raise ArgumentError(
                "A checkpoint is of the processes that train; it is of "
                f"{self.processes.size}, and {processes.size} train. Make it by "
                "Checkpoint(..., processes=processes)."
            )
