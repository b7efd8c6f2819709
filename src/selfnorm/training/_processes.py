"""Processes that train together, as `torchrun` starts them: who one is, and what all know."""

import os
import pickle
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self, TypeVar

import torch
from torch import Tensor, distributed
from torch.distributed.distributed_c10d import PrefixStore

from selfnorm.errors import ArgumentError, SelfNormError

Item = TypeVar("Item")
TIMEOUT = 1800.0  # seconds, as torch has it for gloo
_STARTED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_RESTARTS = "TORCHELASTIC_RESTART_COUNT"
# A mini-batch is taken in as many slices, each with masks of its own, whether one, two or four
# processes share them; so all give the same model.
_SLICES = 4


class ProcessEndedError(SelfNormError):
    """Another process has ended before all were done."""


@dataclass(frozen=True)
class Processes:
    """Those that train one model together; without arguments, a process that is alone.

    What all of them call, all have to call in the same order.

    Attributes:
        rank: This one's number, from 0.
        size: How many there are.
        local_rank: This one's number on its machine, from 0.
        local_size: How many are on this machine.

    Example:
        >>> with Processes.joined() as processes:  # alone, as `torchrun` has not started it
        ...     processes.size, list(processes.slices)
        (1, [0, 1, 2, 3])
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    _store: Any = None

    @classmethod
    @contextmanager
    def joined(cls, timeout: float = TIMEOUT) -> Generator[Self]:
        """Inside, this process is one of those that `torchrun` started; else it is alone.

        They talk by NCCL where each has a GPU, and by gloo else. An error within one ends all:
        the others raise a `SelfNormError` that says which and why.

        Args:
            timeout: Seconds that one waits for another.

        Raises:
            ArgumentError: the environment is none of `torchrun`'s.
            SelfNormError: another process has ended.
        """
        if not started(os.environ):
            yield cls()
            return
        found = cls(
            *(_whole(name) for name in ("RANK", "WORLD_SIZE")),
            *(_whole(name, also) for name, also in (("LOCAL_RANK", 0), ("LOCAL_WORLD_SIZE", 1))),
            _store=_connect(timeout),
        )
        try:
            yield found
        except BaseException as error:
            found._tell(error)
            raise
        finally:
            distributed.destroy_process_group()

    @property
    def several(self) -> bool:
        """Whether there are two or more."""
        return self.size > 1

    @property
    def number_of_slices(self) -> int:
        """Into how many slices a mini-batch is cut: four if that is even for all, else one each."""
        return _SLICES if _SLICES % self.size == 0 else self.size

    @property
    def slices(self) -> range:
        """Those of this process."""
        return self.share(self.number_of_slices)

    def share(self, count: int) -> range:
        """Which of so many things are this process's: the same number for each, or nearly."""
        return range(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def device(self, name: str) -> str:
        """The device that `auto` means here: a GPU of its own where there are some."""
        if name != "auto" or not self.several or not torch.cuda.is_available():
            return name
        return f"cuda:{self.local_rank % torch.cuda.device_count()}"

    def add(self, values: Tensor) -> Tensor:
        """Sum a tensor over all processes, in place.

        Raises:
            SelfNormError: another process has ended.
        """
        if self.several:
            with self._told():
                distributed.all_reduce(values)
        return values

    def joint(self, part: Tensor, at: range, of: int, dim: int = 0) -> Tensor:
        """All parts of a tensor: this process has those at `at` of `of` along a dimension."""
        if not self.several:
            return part
        shape = [*part.shape]
        shape[dim] = of
        whole = part.new_zeros(shape)
        whole.narrow(dim, at.start, len(at)).copy_(part)
        return self.add(whole)

    def same(self, number: float) -> float:
        """The first process's number, for all: of a clock, say, or of what its machine has."""
        if not self.several:
            return number
        return float(self.add(torch.tensor(0.0 if self.rank else number, dtype=torch.float64)))

    def all_of(self, item: Item) -> list[Item]:
        """The items of all processes, in the order of their numbers."""
        if not self.several:
            return [item]
        found: list[Any] = [None] * self.size
        with self._told():
            distributed.all_gather_object(found, item)
        return found

    def from_first(self, item: Item) -> Item:
        """The first process's item, for all."""
        held: list[Any] = [item if self.rank == 0 else None]
        if self.several:
            with self._told():
                distributed.broadcast_object_list(held, src=0)
        return held[0]

    def at_first(self, item: Item) -> list[Item]:
        """The items of all processes at the first, one sent after the other; none elsewhere."""
        with self._told():
            if self.rank:
                self._send(item, 0)
                return []
            return [item, *(self._receive(rank) for rank in range(1, self.size))]

    def merged(self, item: Item, merge: Callable[[Item, Item], Item]) -> Item:
        """What the items of all processes are together, by a tree: log2(size) times two are one."""
        step = 1
        with self._told():
            while step < self.size:
                if self.rank % (2 * step) == step:
                    self._send(item, self.rank - step)
                    break
                if self.rank + step < self.size:
                    item = merge(item, self._receive(self.rank + step))
                step *= 2
        return self.from_first(item)

    def agree(self, what: object, about: str) -> None:
        """Raise unless all processes have the same.

        Raises:
            ArgumentError: they differ.
        """
        for rank, other in enumerate(each := self.all_of(what)):
            if other != each[0]:
                raise ArgumentError(
                    f"Processes that train together have the same {about}; process 0 has "
                    f"{each[0]}, process {rank} {other}. Give all the same files and options."
                )

    def is_first_to_fail(self) -> bool:
        """Whether no other process has said yet that it failed; asked once."""
        try:
            return self._store is None or self._store.add("claimed", 1) == 1
        except RuntimeError:  # who kept the store has ended
            return True

    def _send(self, item: Any, rank: int) -> None:
        content = torch.frombuffer(bytearray(pickle.dumps(item)), dtype=torch.uint8)
        distributed.send(torch.tensor([len(content)]), rank)
        distributed.send(content, rank)

    def _receive(self, rank: int) -> Any:
        size = torch.zeros(1, dtype=torch.int64)
        distributed.recv(size, rank)
        content = torch.empty(int(size), dtype=torch.uint8)
        distributed.recv(content, rank)
        return pickle.loads(content.numpy().tobytes())  # noqa: S301 - from the same program

    def _tell(self, error: BaseException) -> None:
        """Leave word for the others why this one ends."""
        if self._store is not None and not isinstance(error, ProcessEndedError):
            with suppress(RuntimeError):
                self._store.set("failed", f"process {self.rank} ended: {error}")

    @contextmanager
    def _told(self) -> Generator[None]:
        """Inside, torch's error of a lost process becomes what that one said."""
        try:
            yield
        except RuntimeError as error:
            raise ProcessEndedError(
                f"All of {self.size} processes train together to the end; {self._word()}. Mend it "
                "and start all again."
            ) from error

    def _word(self) -> str:
        """Why another process has ended."""
        with suppress(RuntimeError):
            if self._store is not None and self._store.check(["failed"]):
                return self._store.get("failed").decode()
        return f"one ended, or was not heard of in time, as process {self.rank} found"


def started(environment: Mapping[str, str]) -> bool:
    """Whether `torchrun`, or what sets the same variables, has started this process."""
    return all(name in environment for name in _STARTED)


def restarted(environment: Mapping[str, str]) -> bool:
    """Whether `torchrun` has started this process again, after one of those before had died."""
    return started(environment) and environment.get(_RESTARTS, "0") != "0"


def _whole(name: str, default: int | None = None) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise ArgumentError(
            f"{name} is a whole number, as torchrun sets it; {text!r} came. Start by torchrun."
        )
    return int(text)


def _connect(timeout: float) -> Any:
    """Make torch's group of processes; the store by which they leave word."""
    from torch.distributed.rendezvous import rendezvous  # noqa: PLC0415 - only here

    limit = timedelta(seconds=timeout)
    try:
        found, rank, size = next(rendezvous("env://", timeout=limit))
        # torchrun's restarts find the store as those before have left it, addresses and all.
        store = PrefixStore(f"selfnorm/{os.environ.get(_RESTARTS, '0')}", found)
        gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
        several = gpus >= _whole("LOCAL_WORLD_SIZE", 1) and distributed.is_nccl_available()
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if several else "gloo",
            store=PrefixStore("torch", store),
            rank=rank,
            world_size=size,
            timeout=limit,
        )
    except (RuntimeError, ValueError) as error:
        raise SelfNormError(
            f"Processes that train together have to find each other at {os.environ['MASTER_ADDR']}:"
            f"{os.environ['MASTER_PORT']} within {timeout:g} seconds; they did not ({error}). "
            "Start all of them by torchrun."
        ) from error
    return store


ALONE = Processes()
