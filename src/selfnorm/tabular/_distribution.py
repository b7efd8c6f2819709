"""How several processes share a training on a table: members of the ensemble, or rows."""

import copy
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from selfnorm.errors import ArgumentError
from selfnorm.nn import MLP, SELUAlphaDropout
from selfnorm.nn._members import MemberLinear
from selfnorm.tabular._settings import Distribute, Settings
from selfnorm.training import Processes, SharedRows
from selfnorm.training._processes import ALONE
from selfnorm.training._sharing import NotShared, SharedMembers, Sharing


@dataclass(frozen=True)
class Distribution:
    """Who trains, and what each takes.

    Attributes:
        processes: Who trains.
        by: What each takes: `members` or `rows`; None if one process does all as ever.
    """

    processes: Processes = ALONE
    by: Distribute | None = None

    @classmethod
    def of(cls, settings: Settings, processes: Processes) -> "Distribution":
        """As asked for; else members where each process has one or more, and rows where not.

        Raises:
            ArgumentError: there are more processes than members to spread, or layers are watched.
        """
        by = settings.distribute
        if not processes.several:
            return cls(processes, "rows" if by == "rows" else None)
        if settings.monitor:
            raise ArgumentError(
                f"Layers are recorded where one process trains; {processes.size} do. Leave the "
                "monitor out."
            )
        fits = settings.members >= processes.size
        if by == "members" and not fits:
            raise ArgumentError(
                "Members are spread over as many processes as there are members, or fewer; "
                f"{processes.size} processes came for {settings.members}. Distribute rows, or take "
                "more n_estimators."
            )
        if by is None:
            by = "members" if settings.members > 1 and fits else "rows"
        return cls(processes, by)

    @property
    def told(self) -> str | None:
        """What a user should know of it; None if there is nothing to say."""
        if self.by is None:
            return None
        if self.by == "members":
            return f"{self.processes.size} processes, which spread the networks"
        count, size = self.processes.number_of_slices, self.processes.size
        said = f"{size} processes, which share" if size > 1 else "1 process, which takes"
        return f"{said} the rows of each step, in {count} slices"

    @property
    def identity(self) -> dict[str, Any]:
        """What of it has to be the same to go on from a checkpoint, as plain JSON.

        Of rows only how they are cut: 1, 2 and 4 processes train the same model.
        """
        processes = self.processes.size if self.by == "members" else None
        slices = self.processes.number_of_slices if self.by == "rows" else None
        return {"by": self.by, "processes": processes, "slices": slices}

    def mine(self, members: int) -> range | None:
        """The members that are this process's; None if it has a part in all."""
        return self.processes.share(members) if self.by == "members" else None

    @contextmanager
    def shared(
        self, network: MLP, masks: torch.Generator, seed: int
    ) -> Generator[tuple[MLP, Sharing]]:
        """What of a network this process trains, and how; afterwards the network has it all.

        Args:
            network: The network, all members.
            masks: From where its dropout draws.
            seed: With which that began.
        """
        mine = self.mine(network.members or 1)
        if mine is None:
            rows = SharedRows(self.processes, masks)
            yield network, rows if self.by == "rows" else NotShared(self.processes)
            return
        part = _part(network, mine)
        masks.manual_seed(seed)  # each has the masks that it has among all members
        yield part, SharedMembers(self.processes, mine, network.members or 1)
        with torch.no_grad():
            for whole, own in zip(network.parameters(), part.parameters(), strict=True):
                whole.copy_(self.processes.joint(own.detach(), mine, len(whole)))
        network.eval()


def _part(network: MLP, mine: range) -> MLP:
    """Some members of a network, with weights of their own."""
    shared = {id(one.generator): one.generator for one in _dropouts(network)}  # has no copy
    part = copy.deepcopy(network, shared)
    part.members = len(mine)
    for dropout in _dropouts(part):
        vars(dropout)["members_before"] = mine.start
    for layer in part.modules():
        if isinstance(layer, MemberLinear):
            layer.members = len(mine)
            for name, whole in list(layer.named_parameters(recurse=False)):
                own = whole.detach()[mine.start : mine.stop].clone()
                setattr(layer, name, nn.Parameter(own))
    return part


def _dropouts(network: nn.Module) -> list[SELUAlphaDropout]:
    return [one for one in network.modules() if isinstance(one, SELUAlphaDropout)]


TOGETHER = Distribution()
