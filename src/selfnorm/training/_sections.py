"""What a checkpoint holds: the parts of a training that are done, and the one under way."""

import time
import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selfnorm.errors import CheckpointError, SelfNormWarning
from selfnorm.training._agreement import Agreement
from selfnorm.training._folder import Folder
from selfnorm.training._identity import differences
from selfnorm.training._pace import Pace
from selfnorm.training._processes import ALONE, Processes
from selfnorm.training._snapshot import DamagedError, Snapshot, read_snapshot

FORMAT = 2  # 1 had no frequency of waves


class CheckpointStore:
    """All parts of a training, by their names, in memory and in a folder.

    Args:
        folder: Where they are written.
        pace: When.
        processes: Who trains together; the first alone reads and writes.

    Attributes:
        processes: Likewise.
        unwritten: Whether a part is done that no file has.
    """

    def __init__(self, folder: Folder, pace: Pace, processes: Processes = ALONE) -> None:
        self._folder, self._pace, self.processes = folder, pace, processes
        self._agreement = Agreement(processes, pace)
        self._done: dict[str, Snapshot] = {}
        self._underway: dict[str, Snapshot] = {}
        self._identity: dict[str, Any] = {}
        self._asked: BaseException | None = None
        self._listening = False
        self.unwritten = False

    def begin(self, identity: Mapping[str, Any]) -> None:
        """Take what the newest file holds that is whole; the first process tells the others.

        Raises:
            CheckpointError: it is of another training.
        """
        self._identity = {"format": FORMAT, **identity}
        if self.processes.rank == 0:
            self._read()
        self._done, self._underway = self.processes.from_first((self._done, self._underway))
        self._pace.start()

    def _read(self) -> None:
        for path in self._folder.newest():
            try:
                found = read_snapshot(path)
                own, sections = found.record["identity"], _apart(found)
            except (DamagedError, KeyError, TypeError, ValueError, AttributeError) as error:
                warnings.warn(
                    f"A checkpoint is passed over, as it is damaged ({error}): '{path}'.",
                    SelfNormWarning,
                    stacklevel=4,
                )
                continue
            _check(path, own, self._identity)
            for name, (one, done) in sections.items():
                (self._done if done else self._underway)[name] = one
            break

    def found(self, name: str) -> tuple[Snapshot | None, bool]:
        """A part, and whether it is done."""
        if name in self._done:
            return self._done[name], True
        return self._underway.get(name), False

    def step(self, name: str, take: Callable[[], Snapshot], size: int, *, apart: bool) -> None:
        """A mini-batch of a part is done: write if it is time, or if the training is to end."""
        write, end = self._agreement.step(size, self._asked is not None)
        if write:
            begin = time.monotonic()
            parts = self._of_all(name, take, apart)
            if self.processes.rank == 0:
                self.write(parts, begin)
        if end:
            each, self._asked = self.processes.all_of(self._asked), None
            raise next(one for one in each if one is not None)

    def finish(self, name: str, snapshot: Snapshot, size: int, *, apart: bool) -> None:
        """A part is done: what is kept of it, by the first process."""
        self._underway.pop(name, None)
        parts = self._of_all(name, lambda: snapshot, apart)
        if self.processes.rank == 0:
            self._done.update({part: one.cloned() for part, one in parts.items()})
            self.unwritten = True
            if self._pace.due(size):
                self.write()

    def _of_all(
        self, name: str, take: Callable[[], Snapshot], apart: bool
    ) -> Mapping[str, Snapshot]:
        """A part as the first process has it; or, where each has one of its own, all of them.

        All take theirs, as what is shared is gathered for that.
        """
        if not apart:
            own = take()
            return {} if self.processes.rank else {name: own}
        mine = take() if self.processes.rank == 0 else take().cloned()
        return dict(self.processes.at_first((name, mine)))

    def drop(self, prefix: str) -> None:
        """Parts of a part are needed no longer."""
        for kept in (self._done, self._underway):
            for name in [name for name in kept if name.startswith(prefix)]:
                del kept[name]

    def forget(self) -> None:
        """Nothing is kept any longer."""
        self._folder.empty()
        self._done, self._underway, self.unwritten = {}, {}, False

    def write(
        self, underway: Mapping[str, Snapshot] | None = None, begin: float | None = None
    ) -> None:
        """Write what is done, and what is under way.

        A disk that is full does not end the training: it is told, and what was there stays.

        Args:
            underway: The parts under way.
            begin: When that was begun, by `time.monotonic`.
        """
        begin = time.monotonic() if begin is None else begin
        try:
            self._folder.add(_together(self._identity, self._done, underway or {}))
            self.unwritten = False
        except OSError as error:
            warnings.warn(
                f"A checkpoint could not be written to '{self._folder.path}' "
                f"({error.strerror or error}). The training goes on, and the checkpoint before "
                "stays. Make room.",
                SelfNormWarning,
                stacklevel=4,
            )
        self._pace.wrote(time.monotonic() - begin)

    def ask(self, error: BaseException) -> bool:
        """Raise an error behind the mini-batch under way, once its checkpoint is written.

        Returns:
            False if none is under way, or if it is asked for again: then nothing is raised. Among
            several processes all wait for each other, however often it is asked for.
        """
        if not self._listening or (self._asked is not None and not self.processes.several):
            return False
        self._asked = self._asked or error
        return True

    @contextmanager
    def listening(self) -> Generator[None]:
        """Inside, mini-batches are under way."""
        self._listening = True
        try:
            yield
        finally:
            self._listening, self._asked = False, None


class Section:
    """A part of a training in its checkpoint, such as one of several networks.

    Args:
        store: All parts.
        name: This one's name.
        apart: Whether each of several processes has one of its own.
    """

    def __init__(self, store: CheckpointStore, name: str, *, apart: bool = False) -> None:
        self._store, self._name, self._apart = store, name, apart

    @property
    def found(self) -> tuple[Snapshot | None, bool]:
        """What is left of it from before, and whether it is done."""
        return self._store.found(self._name)

    def section(self, name: str) -> "Section":
        """A part of this part."""
        return Section(self._store, f"{self._name}.{name}")

    def of_process(self) -> "Section":
        """This process's own of a part that each has another of."""
        name = f"{self._name}.process{self._store.processes.rank}"
        return Section(self._store, name, apart=True)

    def step(self, take: Callable[[], Snapshot], size: int) -> None:
        """A mini-batch is done, and `take` tells all that is needed to go on from here."""
        self._store.step(self._name, take, size, apart=self._apart)

    def finish(self, snapshot: Snapshot, size: int = 0) -> None:
        """It is done; its own parts are needed no longer."""
        self._store.drop(f"{self._name}.")
        self._store.finish(self._name, snapshot, size, apart=self._apart)

    @contextmanager
    def listening(self) -> Generator[None]:
        """Inside, `step` is called after each mini-batch."""
        with self._store.listening():
            yield


def _together(
    identity: Mapping[str, Any], done: Mapping[str, Snapshot], underway: Mapping[str, Snapshot]
) -> Snapshot:
    """All parts as one: their tensors' names begin with theirs."""
    parts = [(name, one, True) for name, one in done.items()]
    parts += [(name, one, False) for name, one in underway.items()]
    tensors = {f"{name}/{key}": one for name, part, _ in parts for key, one in part.tensors.items()}
    sections = {name: {"done": done, "record": part.record} for name, part, done in parts}
    return Snapshot(tensors, {"identity": identity, "sections": sections})


def _apart(together: Snapshot) -> dict[str, tuple[Snapshot, bool]]:
    """The inverse of `_together`."""
    found: dict[str, tuple[Snapshot, bool]] = {}
    for name, told in together.record["sections"].items():
        own = {
            key.removeprefix(f"{name}/"): one
            for key, one in together.tensors.items()
            if key.startswith(f"{name}/")
        }
        found[name] = Snapshot(own, told["record"]), bool(told["done"])
    return found


def _check(path: Path, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise unless a checkpoint is of this training.

    Raises:
        CheckpointError: what differs.
    """
    if told := differences(was, now):
        raise CheckpointError(
            f"A training goes on from a checkpoint of the same table, settings and versions; "
            f"'{path}' is of others: {told}. Train as before; or discard it with --no-resume (in "
            "Python resume=False)."
        )
