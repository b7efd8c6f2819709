"""Everything that a training on a table depends on besides its rows, declared once."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

from selfnorm._parameters import (
    Choice,
    Names,
    Number,
    OrNone,
    Text,
    Whole,
    check,
    parameter,
    same,
)
from selfnorm.nn._widths import SHAPE, SIZE, WEIGHTS, Shape, Weights
from selfnorm.training._options import Options

Task = Literal["classification", "regression"]
_HELD_OUT = Number(0, 1, open_high=True)
_SEEDS = 2**32


@dataclass(frozen=True)
class Architecture:
    """The hidden part of the network; `selfnorm.nn.MLP` documents each field."""

    width: int = parameter(128, SIZE, "Units of a hidden layer.")
    depth: int = parameter(8, SIZE, "Hidden layers.")
    shape: Shape = parameter("rectangular", SHAPE, "Widths of the layers.")
    dropout: float = parameter(0.02, Number(0, 1, open_high=True), "Rate of alpha dropout.")
    weights: Weights = parameter("lecun", WEIGHTS, "Orthogonal ones are kept so.")
    n_estimators: int = parameter(1, Whole(1), "Networks trained as one.", try_=8)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Settings:
    """What to learn from a table, and how.

    Attributes:
        target: The column to predict; None for that of a built-in data set.
        task: `classification` or `regression`; None decides by the target's values.
        width: Units of a hidden layer (of the first one, if `shape` is `conic`).
        depth: Hidden layers.
        shape: `rectangular` or `conic` (widths fall geometrically toward the outputs).
        dropout: Rate of alpha dropout, below 1.
        weights: `lecun`, LeCun-normal at the start; or `orthogonal`, and kept orthogonal in
            training, with SELU shaped for the depth.
        n_estimators: Networks that are trained as one and averaged. With two or more, each leaves
            out a part of its own of the rows, and what it says of these chooses the epoch; so no
            row is lost to validation, and `validation` says only whether there is one.
        epochs: Most passes over the training rows.
        batch_size: Rows of a mini-batch; None takes a 32nd of the rows, from 16 to 256.
        learning_rate: AdamW's step size at the start; it falls to 0 along a half cosine.
        weight_decay: AdamW's decoupled weight decay, of weights and biases.
        patience: Epochs without a better validation loss before training stops.
        validation: Share of rows that choose the best epoch; 0 for none.
        test: Share of rows held out to measure; 0 for none.
        categories: Columns to take as categories although they hold numbers.
        ignore: Columns to leave out.
        seed: Same seed, machine and threads: same model.
        device: `auto` (GPU if there is one), or a torch device such as `cpu`.
        monitor: Record the layers in every so many steps; 0 for never.

    Raises:
        ArgumentError: One of them breaks its rule.

    Example:
        >>> Settings(target="outcome", depth=16).architecture.depth
        16
        >>> Settings(depth=2.5)
        Traceback (most recent call last):
            ...
        selfnorm.errors.ArgumentError: depth must be a whole number, 1 or more; 2.5 came. ...
    """

    target: str | None = parameter(
        None, OrNone(Text(), "that of a built-in data set"), "Column to predict."
    )
    task: Task | None = parameter(
        None,
        OrNone(Choice(get_args(Task)), "what the target tells"),
        "Default: told by the target.",
    )
    width: int = same(Architecture, "width")
    depth: int = same(Architecture, "depth")
    shape: Shape = same(Architecture, "shape")
    dropout: float = same(Architecture, "dropout")
    weights: Weights = same(Architecture, "weights")
    n_estimators: int = same(Architecture, "n_estimators")
    epochs: int = same(Options, "epochs")
    batch_size: int | None = same(Options, "batch_size")
    learning_rate: float = same(Options, "learning_rate")
    weight_decay: float = same(Options, "weight_decay")
    patience: int = same(Options, "patience")
    validation: float = parameter(0.15, _HELD_OUT, "Share of rows to choose the epoch.")
    test: float = parameter(0.15, _HELD_OUT, "Share of rows held out to measure.")
    categories: Collection[str] = parameter(
        (), Names(), "Number column that is a category (repeatable)."
    )
    ignore: Collection[str] = parameter((), Names(), "Column to leave out (repeatable).")
    seed: int = parameter(0, Whole(0, below=_SEEDS), "Same seed, same machine: same model.")
    device: str = parameter("auto", Text(), "auto, cpu, cuda, ...")
    monitor: int = parameter(0, Whole(0), "Record the layers in every so many steps.", try_=100)

    def __post_init__(self) -> None:
        check(self)

    @property
    def architecture(self) -> Architecture:
        """The part that says what the network is."""
        return Architecture(
            self.width, self.depth, self.shape, self.dropout, self.weights, self.n_estimators
        )

    @property
    def options(self) -> Options:
        """The part that says how it is trained."""
        return Options(
            self.epochs,
            self.batch_size,
            self.learning_rate,
            self.weight_decay,
            self.patience,
            keep_orthogonal=self.weights == "orthogonal",
            members=self.n_estimators,
        )
