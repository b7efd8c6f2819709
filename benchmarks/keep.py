"""What does keeping weights orthogonal cost, and which way to keep them is best?

Cost: training steps of AdamW with `keep_orthogonal` beside the same without, once the interval has
settled, and beside a correction after each step; twelve at a time, as only some are followed by a
correction. Ways to keep: the same network on digits, each way
timed, with its accuracy, how far its weights were from orthogonal, and its layers' variances.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from benchmarks._deep import (
    WAYS,
    accuracy,
    build,
    data,
    median,
    one_thread,
    spread,
    variances,
)
from benchmarks._harness import Row, budget, compare, duration, main
from selfnorm.optim import keep_orthogonal
from selfnorm.training import Shuffled

SIZES = ((256, 256, 8), (512, 512, 16), (64, 128, 8))  # rows, width, depth
CLASSES, RATE, BATCH = 10, 1e-3, 64
SETTLED = 10
STEPS = 12
PENALTY = 0.1


def measure(quick: bool) -> Iterator[Row]:
    """Rows of both kinds."""
    for rows, width, depth in SIZES[-1:] if quick else SIZES:
        yield from cost(rows, width, depth, quick)
    yield from ways(12, 32, 1, 1) if quick else ways(32, 128, 10, 3)


def cost(rows: int, width: int, depth: int, quick: bool) -> Iterator[Row]:
    """Steps with and without."""
    auto, settled = training_steps(rows, width, depth, "auto")
    for _ in range(3 if quick else SETTLED):
        auto()
    each, _ = training_steps(rows, width, depth, 1)
    without, _ = training_steps(rows, width, depth, None)
    found = compare(
        f"{STEPS} training steps, {rows} rows, {depth} layers of {width}, corrected when needed",
        auto,
        {"not kept": without, "corrected after each step": each},
        budget(quick),
        {"not kept": (1 / 1.25, 1 / 1.1)},
        wrong=settled(),
    )
    yield from found


def training_steps(
    rows: int, width: int, depth: int, every: object
) -> tuple[Callable[[], object], Callable[[], str]]:
    """Some, and what is wrong with the weights; labels are a teacher's, inputs always new."""
    torch.manual_seed(0)
    model = build(WAYS["SELU shaped, kept"], depth, width, width, CLASSES)
    teacher = torch.randn(width, CLASSES)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0, fused=True)
    kept = None
    if every is not None:
        kept = keep_orthogonal(optimizer, model, every=every)  # type: ignore[arg-type]

    def steps() -> object:
        for _ in range(STEPS):
            x = torch.randn(rows, width)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), (x @ teacher).argmax(1))
            loss.backward()
            optimizer.step()
        return loss

    def wrong() -> str:
        if kept is None:
            return ""
        error = max(kept.error.values())
        return "" if error <= kept.tolerance else f"{error:.2g} from orthogonal"

    return steps, wrong


@dataclass
class Trained:
    """What came of one way."""

    accuracy: float
    low: float
    high: float
    error: float
    seconds_a_step: float


Begin = Callable[[nn.Sequential], tuple[torch.optim.Optimizer, Callable[[], Tensor | float]]]
"""Prepares a model; gives its optimizer and what is added to the loss."""


def ways(depth: int, width: int, epochs: int, seeds: int) -> Iterator[Row]:
    """One row a way; ours is what `keep_orthogonal` does by itself."""
    begins: dict[str, Begin] = {
        "after each step": by_correction(1),
        "after each 8th step": by_correction(8),
        f"a penalty: {PENALTY} times the squares of W'W - I": by_penalty,
        "torch's parametrizations.orthogonal (matrix_exp)": by_parametrization("matrix_exp"),
        "torch's parametrizations.orthogonal (cayley)": by_parametrization("cayley"),
        "momentum on the group, Cayley": on_the_group,
        "not at all": by_nothing,
    }
    ours = [trained(by_correction("auto"), depth, width, epochs, seed) for seed in range(seeds)]
    for name, begin in begins.items():
        theirs = [trained(begin, depth, width, epochs, seed) for seed in range(seeds)]
        what = f"digits, {depth} layers of {width}, SELU: kept orthogonal"
        yield Row(what, name, told(ours), told(theirs))


def told(runs: list[Trained]) -> str:
    """Accuracy, variances at any time, the error at the end, the time of a step."""
    low, high = min(run.low for run in runs), max(run.high for run in runs)
    seconds = duration(median([run.seconds_a_step for run in runs]))
    return (
        f"{spread([run.accuracy for run in runs])}; layers {low:.2g} to {high:.2g}; "
        f"error {max(run.error for run in runs):.1g}; {seconds} a step"
    )


@one_thread()
def trained(begin: Begin, depth: int, width: int, epochs: int, seed: int) -> Trained:
    """Train a network so, with one cosine, on one thread."""
    torch.manual_seed(seed)
    rows = data("digits")
    model = build(WAYS["SELU, kept"], depth, width, 64, CLASSES)
    optimizer, penalty = begin(model)
    batches = Shuffled(rows.training, BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * batches.steps)
    seconds, looks = 0.0, []
    for _ in range(epochs):
        begun = time.perf_counter()
        for batch in batches.epoch(None):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(batch.inputs), batch.targets) + penalty()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        seconds += time.perf_counter() - begun
        looks += variances(model, rows.training.inputs)
    with torch.no_grad():
        score = accuracy(model(rows.test.inputs), rows.test.targets)
        error = max(float(gram_error(layer.weight).norm(2)) for layer in hidden(model))
    steps = epochs * batches.steps
    return Trained(score, min(looks), max(looks), error, seconds / steps)


def hidden(model: nn.Sequential) -> list[nn.Linear]:
    """All linear layers but the output."""
    return [layer for layer in model if isinstance(layer, nn.Linear)][:-1]


def gram_error(weight: Tensor) -> Tensor:
    """`W'W - I`, for columns that are orthonormal times sqrt(out / in)."""
    units, inputs = weight.shape
    scaled = weight / max(units / inputs, 1.0) ** 0.5
    gram = scaled.mT @ scaled if units >= inputs else scaled @ scaled.mT
    return gram - torch.eye(len(gram))


def adamw(model: nn.Module) -> torch.optim.Optimizer:
    """The same for all."""
    return torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)


def nothing() -> float:
    """No penalty."""
    return 0.0


def by_correction(every: object) -> Begin:
    """`keep_orthogonal`."""

    def begin(model: nn.Sequential) -> tuple[torch.optim.Optimizer, Callable[[], Tensor | float]]:
        optimizer = adamw(model)
        keep_orthogonal(optimizer, model, every=every)  # type: ignore[arg-type]
        return optimizer, nothing

    return begin


def by_penalty(
    model: nn.Sequential,
) -> tuple[torch.optim.Optimizer, Callable[[], Tensor | float]]:
    """Soft orthogonality: Brock et al. 2017, Bansal et al. 2018."""
    layers = hidden(model)

    def penalty() -> Tensor:
        return (
            PENALTY * torch.stack([gram_error(one.weight).square().sum() for one in layers]).sum()
        )

    return adamw(model), penalty


def by_parametrization(name: str) -> Begin:
    """Torch's own: Lezcano-Casado and Martinez-Rubio 2019."""

    def begin(model: nn.Sequential) -> tuple[torch.optim.Optimizer, Callable[[], Tensor | float]]:
        for layer in hidden(model)[1:]:  # the first is not square, and is left free
            parametrizations.orthogonal(layer, orthogonal_map=name)
        return adamw(model), nothing

    return begin


def by_nothing(
    model: nn.Sequential,
) -> tuple[torch.optim.Optimizer, Callable[[], Tensor | float]]:
    """An orthogonal start alone."""
    return adamw(model), nothing


def on_the_group(
    model: nn.Sequential,
) -> tuple[torch.optim.Optimizer, Callable[[], Tensor | float]]:
    """Square hidden weights move along the group, the others by AdamW."""
    square = [layer.weight for layer in hidden(model)[1:]]
    ids = {id(weight) for weight in square}
    rest = [p for p in model.parameters() if id(p) not in ids]
    return OnGroup(square, rest), nothing


class OnGroup(torch.optim.AdamW):
    """Adam's moments of the skew-symmetric part of `W' grad`, and a Cayley step: Li et al. 2020."""

    def __init__(self, square: list[nn.Parameter], rest: list[nn.Parameter]) -> None:
        super().__init__(rest, lr=RATE, weight_decay=0.0)
        self.square = square
        self.count = 0
        self.mean = torch.zeros(len(square), *square[0].shape)
        self.spread = torch.zeros_like(self.mean)

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Both kinds of weights."""
        super().step(closure)
        self.count += 1
        with torch.no_grad():
            w = torch.stack([weight.detach() for weight in self.square])
            a = w.mT @ torch.stack([weight.grad for weight in self.square])  # type: ignore[misc]
            a = (a - a.mT) / 2
            self.mean.lerp_(a, 0.1)
            self.spread.lerp_(a.square(), 0.001)
            size = (self.spread / (1 - 0.999**self.count)).sqrt_() + 1e-8
            a = self.mean / (1 - 0.9**self.count) / size * self.param_groups[0]["lr"]
            identity = torch.eye(a.shape[1])
            moved = w @ torch.linalg.solve(identity + a / 2, identity - a / 2)
            for weight, new in zip(self.square, moved, strict=True):
                weight.copy_(new)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Of both kinds."""
        super().zero_grad(set_to_none)
        for weight in self.square:
            weight.grad = None


if __name__ == "__main__":
    main("keep", measure)
