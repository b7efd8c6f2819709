"""From a table to a trained model: hold out, encode, build, train, and watch the layers."""

import math
from collections.abc import Collection, Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from selfnorm._seeded import seeded
from selfnorm.audit import LayerMoments, Observation, monitor, record_moments
from selfnorm.errors import ArgumentError, SelfNormError
from selfnorm.nn import MLP, SELUAlphaDropout
from selfnorm.tabular._encode import Encoder
from selfnorm.tabular._model import Architecture, TabularModel, build_network
from selfnorm.tabular._source import Source
from selfnorm.tabular._split import hold_out
from selfnorm.tabular._target import Target, fit_target
from selfnorm.tabular._train import SILENT, History, Options, Progress, Rows, train

_WATCHED_ROWS = 1024
_FEWEST_ROWS = 2


@dataclass(frozen=True)
class Settings:
    """Everything that a training depends on besides its rows.

    `monitor` asks for what the layers do in every so many steps; 0 for nothing.
    """

    architecture: Architecture
    options: Options
    validation: float
    seed: int
    test: float = 0.0
    device: str = "auto"
    categories: Collection[str] = ()
    ignore: Collection[str] = ()
    monitor: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise ArgumentError(f"seed must be in [0, 2**32); {self.seed} came. Give another.")


@dataclass(frozen=True)
class Prepared:
    """A table made ready: the encoding, rows on the device to train with, and rows to test on."""

    encoder: Encoder
    target: Target
    training: Rows
    validation: Rows | None
    test: Source

    @property
    def device(self) -> torch.device:
        """The device that trains."""
        return self.training.inputs.device


@dataclass(frozen=True)
class Trained:
    """How a network's training went, with its layers' moments at the start and at the end."""

    history: History
    before: list[LayerMoments]
    after: list[LayerMoments]
    observed: tuple[Observation, ...] = ()


def prepare(source: Source, settings: Settings) -> Prepared:
    """Hold out test and validation rows and encode the table by what the training rows show.

    Args:
        source: The columns to learn from and the target of every row.
        settings: The shares, the seed, the device and the columns' treatment count here.

    Raises:
        TableError: no column can be used.
        ArgumentError: the device is not one that torch can use.
    """
    device = torch_device(settings.device)
    seed, task = settings.seed, source.task
    learned, test = hold_out(source.values, settings.test, task=task, seed=seed)
    values = source.values[learned]
    kept, held = hold_out(values, settings.validation, task=task, seed=seed)
    if len(kept) < _FEWEST_ROWS:
        raise ArgumentError(
            f"Training needs {_FEWEST_ROWS} rows or more; of {len(source.values)}, {len(test)} "
            f"and {len(held)} are held out to test and to validate. Hold out less, or add rows."
        )
    categories = set(settings.categories) - {source.name}
    encoder = Encoder.fit(
        source.table, learned[kept], categories=categories, ignore=settings.ignore
    )
    target = fit_target(source.name, values, task)

    def rows(numbers: np.ndarray) -> Rows:
        part = source.take(numbers)
        inputs = torch.from_numpy(encoder.transform(part.table))
        return Rows(inputs.to(device), target.encode(part.values).to(device))

    validation = rows(learned[held]) if len(held) else None
    return Prepared(encoder, target, rows(learned[kept]), validation, source.take(test))


def fit_model(
    ready: Prepared, settings: Settings, progress: Progress = SILENT
) -> tuple[TabularModel, Trained]:
    """Build the self-normalizing network of the settings and train it on prepared rows.

    Raises:
        SelfNormError: the loss was never finite, or memory ran out.
        KeyboardInterrupt: Ctrl-C came before the first epoch was done.
    """
    with seeded(settings.seed, (ready.device,)), _enough_memory():
        network = build_network(ready.encoder, ready.target, settings.architecture)
        if ready.target.task == "regression":
            _start_at_mean(network)
        kinds, options = (SELUAlphaDropout,), settings.options
        trained = train_network(
            network, ready, kinds, options, progress, monitored=settings.monitor
        )
    check_finite(trained.history, settings.options)
    return TabularModel(ready.encoder, ready.target, settings.architecture, network), trained


def train_network(
    network: nn.Module,
    ready: Prepared,
    activations: tuple[type[nn.Module], ...],
    options: Options,
    progress: Progress = SILENT,
    *,
    monitored: int = 0,
) -> Trained:
    """Train a network on prepared rows; watch its activations at the start and at the end.

    With `monitored`, watch all layers in every so many steps between, too.
    """
    stride = -(-len(ready.training.inputs) // _WATCHED_ROWS)  # a table may be sorted
    watched = ready.training.inputs[::stride]
    network.to(watched.device)
    before = record_moments(network, watched, activations)
    watcher = monitor(network, max(monitored, 1))
    with watcher if monitored else nullcontext():
        history = train(
            network,
            ready.training,
            ready.validation,
            loss=ready.target.loss,
            score=ready.target.score,
            options=options,
            progress=progress,
        )
    after = record_moments(network, watched, activations)
    return Trained(history, before, after, tuple(watcher.records))


def _start_at_mean(network: MLP) -> None:
    """Let the first predictions be the mean, not noise of variance 1 that few rows cannot unlearn.

    Only the output layer's weights start at zero; the hidden layers stay LeCun-normal. Classes do
    not need it, and without it their hidden layers stay nearer to variance 1.
    """
    nn.init.zeros_(network.get_parameter("output.weight"))


def check_finite(history: History, options: Options) -> None:
    """Raise if no epoch of a training had a finite loss.

    Raises:
        SelfNormError: then.
    """
    if not math.isfinite(history.best.loss):
        raise SelfNormError(
            "Training needs a finite loss; it was not finite in the first epoch. Try a smaller "
            f"learning rate than {options.learning_rate:g}."
        )


@contextmanager
def _enough_memory() -> Generator[None]:
    """Turn what torch says of memory into what a user can do."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        raise SelfNormError(
            "The network and its mini-batches must fit into memory; they do not. Try a smaller "
            "width or batch size."
        ) from error


def torch_device(name: str) -> torch.device:
    """A device by its name; `auto` is the GPU where there is one.

    Raises:
        ArgumentError: torch knows no such device, or cannot use it here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        probe = torch.zeros(1, device=name, dtype=torch.float64)
        probe.item()  # the device `meta` holds no values
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ArgumentError(
            f"The device must be one on which torch computes in float64 here; '{name}' is not. "
            "Give 'cpu' or 'auto'."
        ) from error
    return probe.device
