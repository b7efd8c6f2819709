"""How processes share the work of a training: none does, each takes rows, or each takes members."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from selfnorm.training._batches import Batches, Rows, Slices, place_of, rest_of
from selfnorm.training._dealt import Dealt
from selfnorm.training._predict import predict
from selfnorm.training._processes import ALONE, Processes

Loss = Callable[..., Tensor]
_STRIDE = 0x9E3779B97F4A7C15  # the golden ratio, which keeps seeds of neighbors apart
_SEEDS = 2**63
_EXACT = 2**53  # below which a float tells whole numbers


class Sharing(Protocol):
    """Who computes what of a step, of an epoch's outputs, and what all know of it."""

    @property
    def processes(self) -> Processes:
        """Who shares."""
        ...

    def epoch(
        self, batches: Batches, generator: torch.Generator | None, done: int = 0, place: Any = None
    ) -> Iterator[Any]:
        """The mini-batches of an epoch behind those done, or this process's part of each."""
        ...

    def place(self, batches: Batches) -> Any:
        """Where batches are, as plain JSON: what the first process needs to go on from there."""
        ...

    def learn(self, model: nn.Module, batch: Any, loss: Loss) -> Tensor:
        """Give parameters the gradients of a mini-batch; its loss, detached."""
        ...

    def mean(self, loss: float) -> float:
        """An epoch's mean loss, of all processes."""
        ...

    def predict(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """What the whole model says of rows, without gradients."""
        ...


@dataclass(frozen=True)
class NotShared:
    """One process does all."""

    processes: Processes = ALONE

    def epoch(
        self, batches: Batches, generator: torch.Generator | None, done: int = 0, place: Any = None
    ) -> Iterator[Rows]:
        """The mini-batches of an epoch behind those done."""
        return rest_of(batches, generator, done, place)

    def place(self, batches: Batches) -> Any:
        """Where batches are."""
        return place_of(batches)

    def learn(self, model: nn.Module, batch: Rows, loss: Loss) -> Tensor:
        """Give parameters the gradients of a mini-batch; its loss."""
        value = loss(model(batch.inputs), *batch.known)
        value.backward()
        return value.detach()

    def mean(self, loss: float) -> float:
        """The loss as it is."""
        return loss

    def predict(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """What the model says of rows."""
        return predict(model, inputs)


@dataclass
class SharedRows:
    """Each process takes its slices of every mini-batch; gradients are summed over all.

    A mini-batch is cut into slices, four where one, two or four processes share them, and each
    slice draws masks by a seed of its own. So the model does not depend on how many processes there
    are, but for the rounding of a sum: with four its order is that of the network's. Gradients are
    those of the mean over the mini-batch, so learning rate and clipping stay as they are.

    Args:
        processes: Who shares.
        masks: From where the model's dropout draws, on its device; None if nothing is dropped.

    Example:
        >>> rows = Rows(torch.randn(64, 8), torch.randn(64, 1))
        >>> model = nn.Linear(8, 1)
        >>> from selfnorm.training import Shuffled
        >>> shared, generator = SharedRows(), torch.Generator().manual_seed(0)
        >>> batch = next(shared.epoch(Shuffled(rows, 32), generator))
        >>> loss = shared.learn(model, batch, nn.functional.mse_loss)
        >>> len(batch), model.weight.grad.shape
        (32, torch.Size([1, 8]))
    """

    processes: Processes = ALONE
    masks: torch.Generator | None = None
    _seed: int = field(default=0, init=False)  # of an epoch's masks
    _step: int = field(default=0, init=False)  # within an epoch

    def epoch(
        self,
        batches: Batches,
        generator: torch.Generator | None,
        done: int = 0,
        place: Any = None,
    ) -> Iterator[Slices]:
        """This process's slices of each mini-batch behind those done.

        All draw the same order and the same masks. The order is that of one process that shares
        with none.
        """
        shared = self.processes
        if generator is None:
            drawn = shared.same(float(torch.randint(_EXACT, (), device="cpu")))
            generator = torch.Generator().manual_seed(int(drawn))
        ahead = torch.Generator()
        ahead.set_state(generator.get_state())
        self._seed = int(torch.randint(_SEEDS - 1, (), generator=ahead, device="cpu"))
        self._step = done
        how = generator, shared.slices, shared.number_of_slices
        if isinstance(batches, Dealt) and place is not None:
            return batches.rest_of_slices(*how, done, place)
        return islice(cast("Any", batches).slices(*how), done, None)

    def place(self, batches: Batches) -> Any:
        """Where all slices are, by their numbers, at the first process; None if one cannot tell."""
        if not isinstance(batches, Dealt):
            return None
        each = self.processes.at_first(batches.places)
        found = {number: place for places in each for number, place in places.items()}
        return None if None in found.values() else found

    def learn(self, model: nn.Module, batch: Slices, loss: Loss) -> Tensor:
        """Give parameters the gradients of the whole mini-batch; its loss."""
        learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
        numbered = list(zip(self.processes.slices, batch.parts, strict=True))
        flat = self.processes.add(self._gradients(model, learned, numbered, loss))
        self._step += 1
        total, count = flat[-2], flat[-1]
        sizes = [parameter.numel() for parameter in learned]
        flat[:-2].div_(count)
        for parameter, gradient in zip(learned, flat[:-2].split(sizes), strict=True):
            parameter.grad = gradient.view_as(parameter)
        return total / count

    def mean(self, loss: float) -> float:
        """The loss as it is, as each process has that of all rows."""
        return loss

    def predict(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """What the model says of rows, of which each process asks for its share."""
        mine = self.processes.share(len(inputs))
        said = predict(model, inputs[mine.start : mine.stop])
        return self.processes.joint(said, mine, len(inputs))

    def _gradients(
        self,
        model: nn.Module,
        learned: Sequence[nn.Parameter],
        parts: Sequence[tuple[int, Rows]],
        loss: Loss,
    ) -> Tensor:
        """Sums over rows of gradients, one behind the other, and of the loss; and the rows.

        Halves of the slices are summed by themselves, as two processes would.
        """
        if len(parts) > 1:
            half = len(parts) // 2
            first = self._gradients(model, learned, parts[:half], loss)
            return first.add_(self._gradients(model, learned, parts[half:], loss))
        like = learned[0]
        if not parts or not len(parts[0][1]):
            return like.new_zeros(sum(one.numel() for one in learned) + 2)
        number, rows = parts[0]
        if self.masks is not None:
            at = self._step * self.processes.number_of_slices + number + 1
            self.masks.manual_seed((self._seed + at * _STRIDE) % _SEEDS)
        for parameter in learned:
            parameter.grad = None
        value = loss(model(rows.inputs), *rows.known) * len(rows)
        value.backward()
        gradients = [
            one.new_zeros(one.numel()) if one.grad is None else one.grad.flatten()
            for one in learned
        ]
        told = [value.detach().view(1), like.new_full((1,), len(rows))]
        return torch.cat([*gradients, *told])


@dataclass(frozen=True)
class SharedMembers:
    """Each process trains its members of a model; nothing but outputs is exchanged, once an epoch.

    Args:
        processes: Who shares.
        mine: Which members are this process's.
        members: How many there are.
    """

    processes: Processes
    mine: range
    members: int

    def epoch(
        self, batches: Batches, generator: torch.Generator | None, done: int = 0, place: Any = None
    ) -> Iterator[Rows]:
        """The mini-batches of an epoch behind those done, for these members."""
        return rest_of(batches, generator, done, place)

    def place(self, batches: Batches) -> Any:
        """Where batches are."""
        return place_of(batches)

    def learn(self, model: nn.Module, batch: Rows, loss: Loss) -> Tensor:
        """Give parameters the gradients that the mean over all members has; the loss of these."""
        value = loss(model(batch.inputs), *batch.known)
        (value * (len(self.mine) / self.members)).backward()
        return value.detach()

    def mean(self, loss: float) -> float:
        """The mean over all members."""
        sums = torch.tensor([loss * len(self.mine)], dtype=torch.float64)
        return float(self.processes.add(sums)) / self.members

    def predict(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """What all members say of rows: (rows, members, outputs)."""
        return self.processes.joint(predict(model, inputs), self.mine, self.members, dim=1)
