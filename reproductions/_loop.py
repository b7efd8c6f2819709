"""One training loop for members: each with its own learning rate, looked at every so many steps."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from selfnorm.optim import keep_orthogonal

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Plan:
    """How to train: a rate for each member, steps, rows a step, and how often to look.

    `schedule` is "constant" as in the paper, or "cosine" to 0. `clip` is the largest norm of a
    member's gradient; None lets it be.
    """

    rates: tuple[float, ...]
    steps: int
    batch: int = 64
    every: int = 50
    optimizer: Literal["sgd", "adamw"] = "sgd"
    schedule: Literal["constant", "cosine"] = "constant"
    weight_decay: float = 0.0
    clip: float | None = None
    keep: bool = False


@dataclass(frozen=True)
class Look:
    """After so many steps: what each member says of each part of the rows.

    `loss` is each member's mean training loss since the last look, `seconds` is the processor time
    that training took so far, looks excluded.
    """

    step: int
    loss: Tensor
    outputs: list[Tensor]
    seconds: float


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Each member's mean, of outputs (members, rows, classes)."""
    members, rows, classes = outputs.shape
    flat = nn.functional.cross_entropy(
        outputs.reshape(-1, classes), targets.repeat(members), reduction="none"
    )
    return flat.view(members, rows).mean(1)


def looks(
    model: nn.Module,
    inputs: Any,
    targets: Tensor,
    parts: Sequence[Any],
    plan: Plan,
    loss: Loss = cross_entropy,
    before_step: Callable[[], None] = lambda: None,
) -> Iterator[Look]:
    """Train, and look at the parts every so many steps; ends early once every loss is lost.

    `before_step` may change gradients. The order of the rows comes from torch's default generator.
    """
    optimizer, schedule = _optimizer(model, plan)
    seconds, total = 0.0, torch.zeros(len(plan.rates))
    order = _orders(len(targets), plan.batch)
    for step in range(1, plan.steps + 1):
        begin = time.process_time()
        rows = next(order)
        optimizer.zero_grad()
        value = loss(model.train()(inputs[rows]), targets[rows])
        value.sum().backward()
        before_step()
        if plan.clip is not None:
            _clip(model, plan.clip)
        optimizer.step()
        schedule.step()
        total += value.detach()
        seconds += time.process_time() - begin
        if step % plan.every == 0 or step == plan.steps:
            since = (step - 1) % plan.every + 1
            yield Look(step, total / since, [outputs(model, part) for part in parts], seconds)
            if not total.isfinite().any():
                return
            total.zero_()


@torch.no_grad()
def outputs(model: nn.Module, inputs: Any, rows: int = 2048) -> Tensor:
    """What the members say of rows in evaluation, (members, rows, outputs)."""
    model.eval()
    return torch.cat([model(inputs[one]) for one in torch.arange(len(inputs)).split(rows)], 1)


def _orders(rows: int, batch: int) -> Iterator[Tensor]:
    """Batches of about one size, in a new order each time all rows are through."""
    parts = max(1, round(rows / batch))
    while True:
        yield from torch.tensor_split(torch.randperm(rows), parts)


def _optimizer(model: nn.Module, plan: Plan) -> tuple[torch.optim.Optimizer, Any]:
    """SGD or AdamW at the largest rate; each member goes its own share of every step."""
    most = max(plan.rates)
    kind = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[plan.optimizer]
    optimizer = kind(model.parameters(), lr=most, weight_decay=plan.weight_decay)
    if set(plan.rates) != {most}:
        _share(optimizer, torch.tensor(plan.rates) / most)
    if plan.keep:
        keep_orthogonal(optimizer, model)

    def factor(step: int) -> float:
        falls = plan.schedule == "cosine"
        return (1 + math.cos(math.pi * step / plan.steps)) / 2 if falls else 1.0

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def _share(optimizer: torch.optim.Optimizer, shares: Tensor) -> None:
    """Make each member go this share of what the optimizer's steps are."""
    before: list[Tensor] = []

    def parameters() -> list[nn.Parameter]:
        return [one for group in optimizer.param_groups for one in group["params"]]

    @torch.no_grad()
    def remember(*_: object) -> None:
        before[:] = [one.clone() for one in parameters()]

    @torch.no_grad()
    def shorten(*_: object) -> None:
        for now, was in zip(parameters(), before, strict=True):
            share = shares.view(-1, *[1] * (now.ndim - 1))
            now.copy_(torch.lerp(was, now, share))

    optimizer.register_step_pre_hook(remember)
    optimizer.register_step_post_hook(shorten)


@torch.no_grad()
def _clip(model: nn.Module, most: float) -> None:
    """Shorten each member's gradient to a norm of at most that."""
    found = [one.grad for one in model.parameters() if one.grad is not None]
    squares = torch.stack([one.flatten(1).square().sum(1) for one in found]).sum(0)
    factor = (most / squares.sqrt()).clamp(max=1)
    for one in found:
        one.mul_(factor.view(-1, *[1] * (one.ndim - 1)))
