"""The live bar of a training: epoch, loss, validation score, time left."""

from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from selfnorm.cli._console import problems
from selfnorm.tabular import Epoch
from selfnorm.tabular import Progress as Listener


class Bars:
    """A stack of bars, one a training, drawn while inside `with`."""

    def __init__(self, score_name: str, epochs: int) -> None:
        self._score_name = score_name
        self._epochs = epochs
        self._progress = Progress(
            TextColumn("{task.description:<21}"),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=problems,
        )

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

    def bar(self, name: str) -> "Bar":
        """A new bar; give it to a training as its `progress`."""
        task = self._progress.add_task(name, total=None, figures="")
        return Bar(self._progress, task, self._score_name, self._epochs)


class Bar(Listener):
    """One training's bar."""

    def __init__(self, progress: Progress, task: TaskID, score_name: str, epochs: int) -> None:
        self._progress = progress
        self._task = task
        self._score_name = score_name
        self._epochs = epochs

    def start(self, steps: int) -> None:
        """The bar begins."""
        self._progress.reset(self._task, total=steps)

    def step(self) -> None:
        """The bar grows."""
        self._progress.advance(self._task)

    def epoch(self, epoch: Epoch) -> None:
        """The figures beside the bar change."""
        figures = f"epoch {epoch.number:>2}/{self._epochs}  loss {epoch.loss:.3f}"
        if epoch.validation_score == epoch.validation_score:
            figures += f"  {self._score_name} {epoch.validation_score:.3g}"
        self._progress.update(self._task, figures=figures)
