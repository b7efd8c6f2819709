"""Several networks that are trained as one, each on rows of its own."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from selfnorm.nn import MLP
from selfnorm.tabular._infinite import InfiniteNetwork
from selfnorm.tabular._out_of_fold import OutOfFold
from selfnorm.tabular._weighing import factors
from selfnorm.tabular.encoding._target import Target

_ROWS = 1 << 16  # at a time, as all networks' outputs take more than a row of a table may


class Ensemble(nn.Module):
    """Networks whose rows come first, as a training loop and a prediction have them.

    Args:
        networks: Members of one shape, those of another, and so on; an `MLP` each, or what stands
            for one.
        infinite: Members of infinite width, which come last.

    Shape:
        Input (rows, features), which all members read, or for those of one shape alone (rows,
        members, features); output (rows, networks, outputs).
    """

    def __init__(
        self, networks: Iterable[nn.Module], infinite: Iterable[InfiniteNetwork] = ()
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.infinite = nn.ModuleList(infinite)

    @property
    def finite(self) -> tuple[MLP, ...]:
        """The members of finite width, those of one shape together."""
        return tuple(one for one in self.networks if isinstance(one, MLP))

    @property
    def joined(self) -> tuple[InfiniteNetwork, ...]:
        """The members of infinite width."""
        return tuple(one for one in self.infinite if isinstance(one, InfiniteNetwork))

    def forward(self, x: Tensor) -> Tensor:
        """Each network's outputs."""
        given = x.transpose(0, 1) if x.ndim == 3 else x
        outputs = [network(given).transpose(0, 1) for network in self.networks]
        outputs += [network(x)[:, None] for network in self.infinite]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)


@dataclass(frozen=True)
class Judged:
    """Loss and score of an ensemble, in training and of what each row is told by who left it out.

    Attributes:
        target: What outputs stand for.
        left_out: Which members do not learn from each row to validate with, (rows, members),
            booleans, one or more of each row; None if there are no such rows.
        scoring: What takes the loss's place on the rows to validate with; None if nothing does.
        asked: Where members are asked about the rows that they left out alone; None if all are
            asked about all rows to validate with.
    """

    target: Target
    left_out: Tensor | None
    scoring: Callable[..., Tensor] | None = None
    asked: OutOfFold | None = None

    def loss(self, outputs: Tensor, *known: Tensor) -> Tensor:
        """The mean over members and rows, or over the rows to validate with.

        Of these it is what calibration will leave: members that are right but too sure, or whose
        numbers go too far, are not taken for worse than members that know less.
        """
        said, known, alone = self._pairs(outputs, known)
        if not alone and (self.scoring is None or self.target.task == "regression"):
            said = said * factors(self.target, said, *known).to(said)
        if not alone and self.scoring is not None:
            return self.scoring(said, *known)
        return self.target.loss(said, *known)

    def score(self, outputs: Tensor, *known: Tensor) -> float:
        """The target's score, likewise."""
        said, known, _ = self._pairs(outputs, known)
        return self.target.score(said, *known)

    def _pairs(
        self, outputs: Tensor, known: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...], bool]:
        """Outputs with their targets and weights, and whether each is that of one member."""
        one = 2 if known[0].is_floating_point() else 1  # dimensions of one member's
        if self.left_out is None or known[0].ndim > one:
            return outputs.flatten(0, 1), tuple(part.flatten(0, 1) for part in known), True
        outputs = outputs if self.asked is None else self.asked.told(outputs)
        return told(self.target, outputs, self.left_out), known, False


@dataclass(frozen=True)
class JudgedAlone:
    """The same of a single network.

    Attributes:
        target: What outputs stand for.
        scoring: What takes the loss's place on the rows to validate with; None if nothing does.
    """

    target: Target
    scoring: Callable[..., Tensor] | None = None

    def loss(self, outputs: Tensor, *known: Tensor) -> Tensor:
        """The target's; of rows that are not learned from, which take no gradients, the score."""
        if outputs.requires_grad:
            return self.target.loss(outputs, *known)
        if self.target.task == "regression":
            outputs = outputs * factors(self.target, outputs, *known).to(outputs)
        return (self.scoring or self.target.loss)(outputs, *known)

    def score(self, outputs: Tensor, *known: Tensor) -> float:
        """The target's score."""
        return self.target.score(outputs, *known)


def told(target: Target, outputs: Tensor, left_out: Tensor) -> Tensor:
    """What each row is told by those that left it out, together: (rows, outputs)."""
    parts = zip(outputs.split(_ROWS), left_out.split(_ROWS), strict=True)
    return torch.cat([_told(target, *part) for part in parts])


def _told(target: Target, outputs: Tensor, left_out: Tensor) -> Tensor:
    shares = left_out.to(outputs) / left_out.sum(1, keepdim=True).to(outputs)
    return target.heard(torch.einsum("rk,rko->ro", shares, target.said(outputs)))
