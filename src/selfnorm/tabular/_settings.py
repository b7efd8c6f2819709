"""Everything that a training on a table depends on besides its rows, declared once."""

import math
from collections.abc import Collection, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, Literal, get_args

from selfnorm._parameters import (
    Choice,
    Flag,
    Names,
    Number,
    OrNone,
    Text,
    TextOrNames,
    Whole,
    Words,
    check,
    parameter,
    same,
)
from selfnorm.errors import ArgumentError
from selfnorm.nn._widths import SHAPE, SIZE, WEIGHTS, Shape, Weights
from selfnorm.training._options import Options

Task = Literal["classification", "regression"]
Preset = Literal["fast", "default", "best"]
OnError = Literal["stop", "skip"]
Distribute = Literal["members", "rows"]
_HELD_OUT = Number(0, 1, open_high=True)
_DROPOUT = Number(0, 1, open_high=True)
_SEEDS = 2**32
_LEAST_MEMORY = 10**7
_TEST = 0.15
_FEW_ROWS = 2000  # below which none is held out from several networks
_MANY_ROWS = 1000  # from which on a table bears a wider and a deeper network
_DEEP = 4  # layers, beyond which steps and dropout have to be smaller
_DEEPER = 8  # layers of the deep networks of `best`


@dataclass(frozen=True)
class _Plan:
    """What a preset spends."""

    members: int = 8
    infinite: bool = True
    steps: int = 600  # of a training on few rows
    fewest_epochs: int = 30


_PLANS: dict[Preset, _Plan] = {
    "fast": _Plan(members=4, infinite=False, steps=300, fewest_epochs=15),
    "default": _Plan(),
    "best": _Plan(members=16),
}


@dataclass(frozen=True)
class Architecture:
    """The hidden part of the network; `selfnorm.nn.MLP` documents each field."""

    width: int = parameter(MISSING, SIZE, "Units of a hidden layer.", try_=64)
    depth: int = parameter(MISSING, SIZE, "Hidden layers.", try_=2)
    shape: Shape = parameter(MISSING, SHAPE, "Widths of the layers.", try_="rectangular")
    dropout: float = parameter(MISSING, _DROPOUT, "Rate of alpha dropout.", try_=0.1)
    weights: Weights = parameter(MISSING, WEIGHTS, "Orthogonal ones are kept so.", try_="lecun")
    n_estimators: int = parameter(MISSING, Whole(1), "Networks trained as one.", try_=8)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Settings:
    """What to learn from a table, and how.

    Attributes:
        target: The column to predict; None for that of a built-in data set. Several columns are
            learned together: all numbers, or all labels of two values such as yes and no; some of
            a row's may be missing.
        task: `classification` or `regression`; None decides by the target's values.
        preset: How much is spent where nothing else is said. `default`: eight networks, joined by
            infinitely wide ones. `fast`: four networks and half the steps, joined by none. `best`:
            three times sixteen networks, of other weights, width and depth, and the infinitely
            wide ones; all are weighed by rows that they did not learn from.
        width: Units of a hidden layer (of the first one, if `shape` is `conic`); None for 64, or
            128 from 1,000 training rows.
        depth: Hidden layers; None for 2, or 3 from 1,000 rows.
        shape: `rectangular` or `conic` (widths fall geometrically toward the outputs).
        dropout: Rate of alpha dropout, below 1; None for .1, .05 from 1,000 rows, and .02 in more
            than 4 layers.
        weights: `lecun`, LeCun-normal at the start; or `orthogonal`, and kept orthogonal in
            training, with SELU shaped for the depth. None for `lecun` from 1,000 rows in up to 4
            layers, else `orthogonal`.
        n_estimators: Networks that are trained as one and averaged. With two or more, each leaves
            out rows of its own, and what is said of each row by those that left it out chooses the
            epoch, weighs the kinds of networks and calibrates the probabilities; so no row is lost
            to validation, and `validation` says only whether there is one. None for 8, 4 if
            `preset` is `fast`, and 16 of each shape if it is `best`.
        infinite: Whether infinitely wide networks join those of two or more `n_estimators`, as
            kernel regression: one of 16 layers, which reads numbers in pieces, and one of waves,
            which reads them as such (where no number has pieces, one of layers reads all). They
            learn from up to 5,000 rows, all in memory, and the model holds these rows. None for
            True, or False if `preset` is `fast`.
        epochs: Most passes over the training rows; None for 600 mini-batches, 30 passes or more;
            half of that if `preset` is `fast`.
        batch_size: Rows of a mini-batch; None takes a 32nd of the rows, from 16 to 256.
        learning_rate: AdamW's step size at the start; it falls to 0 along a half cosine. None for
            .004, .008 from 1,000 rows, and .0005 in more than 4 layers.
        weight_decay: AdamW's decoupled weight decay, of weights and biases.
        patience: Epochs without a better validation loss before training stops.
        time_limit: Seconds after which no epoch begins; None for no limit. What was trained until
            then serves; networks of infinite width are fitted besides, in seconds.
        validation: Share of rows that choose the best epoch; 0 for none.
        test: Share of rows held out to measure; 0 for none. None for .15, or 0 where several
            networks leave out rows of fewer than 2,000, and not by time: what these are told by
            who left them out measures as well, and all are learned from.
        categories: Columns to take as categories although they hold numbers.
        ignore: Columns to leave out.
        missing: Words that stand where a value is missing, besides those that are known: they are
            missing in every column, also where the model predicts. One that writes a number or a
            date, such as `-999`, is that value in columns of numbers or dates.
        sample_weight: The column that says how much each row counts, 0 or more; it is not learned
            from. None if all count the same.
        memory: Most bytes that a table may take, read and encoded; None for half of the machine's.
            One in files that takes more is read in parts.
        on_error: Whether to `stop` at a part of a table that cannot be read, or to `skip` it.
        group: The column that says which rows belong together, as those of one patient: they are
            on one side of every split, in folds, too. It is not learned from. None if each row
            stands for itself; so does a row without a group.
        split_by_time: The column of dates or numbers by which the latest rows are held out, those
            of the test and of a single network's validation; of several networks each leaves out
            stretches of time. It is learned from unless it is ignored. None splits at random.
        seed: Same seed, machine and threads: same model.
        device: `auto` (GPU if there is one), or a torch device such as `cpu`.
        monitor: Record the layers in every so many steps; 0 for never.
        distribute: What each of several processes takes: `members` of the ensemble, or `rows` of
            each mini-batch. None for members where there are as many as processes, else rows.

    Raises:
        ArgumentError: One of them breaks its rule.

    Example:
        >>> Settings(target="outcome", depth=16).sized(rows=1000).architecture
        Architecture(width=128, depth=16, ..., weights='orthogonal', n_estimators=8)
        >>> Settings(depth=2.5)
        Traceback (most recent call last):
            ...
        selfnorm.errors.ArgumentError: depth must be a whole number, 1 or more, or None ...
    """

    target: str | Collection[str] | None = parameter(
        None,
        OrNone(TextOrNames(), "that of a built-in data set"),
        "Column to predict (repeatable).",
        try_="y",
    )
    task: Task | None = parameter(
        None,
        OrNone(Choice(get_args(Task)), "what the target tells"),
        "Default: told by the target.",
    )
    preset: Preset = parameter(
        "default", Choice(get_args(Preset)), "How much is spent where nothing else is said."
    )
    width: int | None = parameter(
        None,
        OrNone(SIZE, "what fits the rows"),
        "Units of a hidden layer. Default: 64, or 128 from 1,000 rows.",
        try_=64,
    )
    depth: int | None = parameter(
        None,
        OrNone(SIZE, "what fits the rows"),
        "Hidden layers. Default: 2, or 3 from 1,000 rows.",
        try_=2,
    )
    shape: Shape = parameter("rectangular", SHAPE, "Widths of the layers.")
    dropout: float | None = parameter(
        None,
        OrNone(_DROPOUT, "what fits rows and depth"),
        "Rate of alpha dropout. Default: .02 to .1, by rows and depth.",
        try_=0.1,
    )
    weights: Weights | None = parameter(
        None,
        OrNone(WEIGHTS, "what fits rows and depth"),
        "Orthogonal ones are kept so. Default: by rows and depth.",
        try_="lecun",
    )
    n_estimators: int | None = parameter(
        None,
        OrNone(Whole(1), "what the preset says"),
        "Networks trained as one. Default: 8, fast 4, best 16.",
        try_=8,
    )
    infinite: bool | None = parameter(
        None,
        OrNone(Flag(), "what the preset says"),
        "An infinitely wide network joins several. Default: but for fast.",
        try_=True,
    )
    epochs: int | None = parameter(
        None,
        OrNone(Whole(1), "what fits the rows"),
        "Most epochs. Default: 600 steps, 30 epochs or more.",
        try_=100,
    )
    batch_size: int | None = same(Options, "batch_size")
    learning_rate: float | None = parameter(
        None,
        OrNone(Number(0, 1, open_low=True), "what fits rows and depth"),
        "AdamW's, at the start. Default: .0005 to .008, by rows and depth.",
        try_=1e-3,
    )
    weight_decay: float = same(Options, "weight_decay")
    patience: int = same(Options, "patience")
    time_limit: float | None = same(Options, "time_limit")
    validation: float = parameter(0.15, _HELD_OUT, "Share of rows to choose the epoch.")
    test: float | None = parameter(
        None,
        OrNone(_HELD_OUT, "what fits the rows"),
        "Share of rows held out to measure. Default: .15, or none below 2,000.",
        try_=0.15,
    )
    categories: Collection[str] = parameter(
        (), Names(), "Number column that is a category (repeatable)."
    )
    ignore: Collection[str] = parameter((), Names(), "Column to leave out (repeatable).")
    missing: Collection[str] = parameter(
        (), Words(), "A word for missing cells (repeatable).", try_=["-999"]
    )
    sample_weight: str | None = parameter(
        None,
        OrNone(Text(), "rows that count the same"),
        "Column of how much each row counts.",
        try_="weight",
    )
    memory: float | None = parameter(
        None,
        OrNone(Number(_LEAST_MEMORY, math.inf), "half of the machine's"),
        "Most for the table; a larger one is read in parts. Default: half of the machine's.",
        try_=2e9,
    )
    on_error: OnError = parameter(
        "stop", Choice(get_args(OnError)), "What to do about a part that cannot be read."
    )
    group: str | None = parameter(
        None,
        OrNone(Text(), "rows that stand for themselves"),
        "Column of which rows belong together; they stay so.",
        try_="patient",
    )
    split_by_time: str | None = parameter(
        None,
        OrNone(Text(), "splits at random"),
        "Column of time; the latest rows are held out.",
        try_="date",
    )
    seed: int = parameter(0, Whole(0, below=_SEEDS), "Same seed, same machine: same model.")
    device: str = parameter("auto", Text(), "auto, cpu, cuda, ...")
    monitor: int = parameter(0, Whole(0), "Record the layers in every so many steps.", try_=100)
    distribute: Distribute | None = parameter(
        None,
        OrNone(Choice(get_args(Distribute)), "what fits members and processes"),
        "What each process that torchrun starts takes. Default: members if there are enough.",
        try_="rows",
    )

    def __post_init__(self) -> None:
        check(self)
        if isinstance(self.target, Collection) and not isinstance(self.target, str):
            names = tuple(self.target)
            object.__setattr__(self, "target", names[0] if len(names) == 1 else names)
        if self.group is not None and self.split_by_time is not None:
            raise ArgumentError(
                "Rows are split by group or by time; group and split_by_time came both. Leave one "
                "out."
            )

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns to predict, as far as they are named."""
        if self.target is None or isinstance(self.target, str):
            return () if self.target is None else (self.target,)
        return tuple(self.target)

    @property
    def members(self) -> int:
        """How many networks are trained as one."""
        return self.n_estimators or _PLANS[self.preset].members

    @property
    def joins(self) -> bool:
        """Whether infinitely wide networks join them."""
        asked = _PLANS[self.preset].infinite if self.infinite is None else self.infinite
        return asked and self.members > 1

    def held_out(self, rows: int) -> float:
        """The share of so many rows to hold out to measure."""
        if self.test is not None:
            return self.test
        crossed = self.members > 1 and self.validation > 0 and self.split_by_time is None
        return 0.0 if crossed and rows < _FEW_ROWS else _TEST

    def sized(self, rows: int) -> "Settings":
        """The same, with numbers in place of what preset and training rows decide."""
        many = rows >= _MANY_ROWS
        depth = self.depth or (3 if many else 2)
        options, plan = Options(batch_size=self.batch_size), _PLANS[self.preset]
        steps = math.ceil(rows / options.batch_rows(rows))
        return self._or(
            width=128 if many else 64,
            depth=depth,
            weights="lecun" if many and depth <= _DEEP else "orthogonal",
            dropout=0.02 if depth > _DEEP else 0.05 if many else 0.1,
            n_estimators=self.members,
            infinite=self.joins,
            epochs=max(plan.fewest_epochs, math.ceil(plan.steps / steps)),
            learning_rate=5e-4 if depth > _DEEP else 8e-3 if many else 4e-3,
        )

    @property
    def of_sparse(self) -> "Settings":
        """The same, with choices that suit a sparse table: far more features than rows tell apart.

        Of a made-up corpus of 3,000 documents the log loss was 1.81 so, 2.06 by the defaults of
        other tables of as many rows, and 1.94 that of logistic regression.
        """
        return self._or(weights="orthogonal", learning_rate=2e-3)

    def portfolio(self, rows: int) -> tuple["Settings", ...]:
        """The sized settings of each shape of network: one, or several of `best`.

        What was asked for is the same in all, so they may be fewer.
        """
        found = [self.sized(rows)]
        if self.preset == "best" and self.members > 1:
            other = (
                self._or(weights="orthogonal")
                if rows >= _MANY_ROWS
                else self._or(width=128, depth=3, weights="lecun", dropout=0.05, learning_rate=8e-3)
            )
            for one in (other.sized(rows), self._or(depth=_DEEPER).sized(rows)):
                if one not in found:
                    found.append(one)
        return tuple(found)

    def continued(self, architectures: Sequence[Architecture]) -> "Settings":
        """The same for networks that are there already, of sizes that rows decided before.

        Of several shapes those of sizes that are wanted now go on.

        Raises:
            ArgumentError: another size than theirs is asked for.
        """
        if len(architectures) > 1:
            return self
        sizes = vars(architectures[0])
        for name, size in sizes.items():
            asked = getattr(self, name)
            if asked is not None and asked != size:
                raise ArgumentError(
                    f"Networks that go on learning keep their sizes; {name} was {size!r} and is "
                    f"{asked!r}. Fit anew, without warm_start."
                )
        return self._or(**sizes)

    def _or(self, **choices: Any) -> "Settings":
        """The same, with choices in place of what nobody chose."""
        return replace(self, **{n: one for n, one in choices.items() if getattr(self, n) is None})

    @property
    def architecture(self) -> Architecture:
        """The part that says what the network is, once sized."""
        sizes = {field.name: getattr(self, field.name) for field in fields(Architecture)}
        return Architecture(**sizes)

    @property
    def options(self) -> Options:
        """The part that says how it is trained, once sized."""
        names = ("epochs", "batch_size", "learning_rate", "weight_decay", "patience", "time_limit")
        return Options(
            **{name: getattr(self, name) for name in names},
            keep_orthogonal=self.weights == "orthogonal",
            members=self.members,
        )
