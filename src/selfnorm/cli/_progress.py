"""The live bar of a training: epoch, loss, validation score, time left."""

from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from selfnorm.cli._console import problems
from selfnorm.nn._widths import Weights
from selfnorm.tabular._settings import Settings
from selfnorm.training import Epoch
from selfnorm.training import Progress as Listener

_NAMES: dict[Weights, str] = {"lecun": "SELU + LeCun", "orthogonal": "SELU, orthogonal"}


class _Shown:
    """What is shown while inside `with`."""

    _progress: Progress

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._progress.stop()


class Bar(_Shown, Listener):
    """A training's bar, drawn while inside `with`.

    Attributes:
        score_name: What to call the validation score.
    """

    def __init__(self) -> None:
        self.score_name = "score"
        self._epochs = 0
        self._progress = Progress(
            TextColumn("{task.description:<21}"),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=problems,
        )
        self._task = self._progress.add_task("SELU", total=None, figures="")

    def show(self, settings: Settings) -> None:
        """Which weights learn, and for how many epochs at most: of settings that are sized."""
        self._epochs = settings.options.epochs
        name = _NAMES[settings.architecture.weights]
        self._progress.update(self._task, description=name)

    def start(self, steps: int) -> None:
        """The bar begins."""
        self._progress.reset(self._task, total=steps)

    def resumed(self, steps: int) -> None:
        """So much of the bar was there before."""
        self._progress.update(self._task, completed=steps)

    def step(self) -> None:
        """The bar grows."""
        self._progress.advance(self._task)

    def epoch(self, epoch: Epoch) -> None:
        """The figures beside the bar change."""
        figures = f"epoch {epoch.number:>2}/{self._epochs}  loss {epoch.loss:.3f}"
        if epoch.validation_score == epoch.validation_score:
            figures += f"  {self.score_name} {epoch.validation_score:.3g}"
        self._progress.update(self._task, figures=figures)


class Counted(_Shown):
    """A bar of things that are done one after the other, while inside `with`; call it after each.

    Args:
        what: What they are.
        total: How many.
    """

    def __init__(self, what: str, total: int) -> None:
        self._progress = Progress(
            TextColumn(f"{{task.completed}}/{{task.total}} {what:<15}"),
            BarColumn(bar_width=12),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=problems,
            transient=True,
        )
        self._task = self._progress.add_task("", total=total)

    def __call__(self, *_: object) -> None:
        """One more is done."""
        self._progress.advance(self._task)
