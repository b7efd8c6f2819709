"""What `selfnorm.tabular.fit` returns: a model, how its training went, and how good it is."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from selfnorm import _extras
from selfnorm._files import write_file
from selfnorm.errors import ArgumentError, MissingPackageError, SelfNormWarning
from selfnorm.recording import Observation
from selfnorm.tabular._evaluation import Evaluation
from selfnorm.tabular._model import TabularModel
from selfnorm.tabular._output import csv_bytes, observation_table
from selfnorm.tabular._settings import Settings
from selfnorm.tabular._storage import is_file, save_model
from selfnorm.tabular.encoding._target import Prediction
from selfnorm.tabular.explaining._seen import Seen
from selfnorm.training import History


@dataclass(frozen=True)
class Result:
    """A trained model, and what is to be known of its training.

    Attributes:
        model: The model.
        history: Every epoch, the best one, and why training stopped.
        before: Mean and variance of each hidden layer's activations on training rows, at the start.
        after: The same at the end.
        observed: All layers in every so many steps, if `Settings.monitor` asked for it.
        evaluation: The model and the trivial baseline on rows that training never saw; if none was
            held out, cross-fitted.
        settings: What was asked for, with what the rows decided.
        told: What each training row is told by networks that did not learn from it; None if there
            are none.
        name: What to call it: the name of the table's file.
        seen: What a page shows besides; None if nobody looked.
    """

    model: TabularModel
    history: History
    before: tuple[Observation, ...]
    after: tuple[Observation, ...]
    observed: tuple[Observation, ...]
    evaluation: Evaluation
    settings: Settings
    told: Prediction | None = None
    name: str = "the table"
    seen: Seen | None = None

    @property
    def metrics(self) -> Mapping[str, float]:
        """The model's metrics on rows that training never saw, or cross-fitted; else empty."""
        return self.evaluation.metrics

    @property
    def baseline(self) -> Mapping[str, float]:
        """The trivial baseline's on the same rows."""
        return self.evaluation.baseline

    def save(self, folder: str | Path, *, force: bool = False) -> tuple[str, ...]:
        """Write a model folder: weights, record, learning curve, page, and what was monitored.

        Args:
            folder: Where to; it is made if needed. A path that ends in `.snn` is one file, which
                holds no curve.
            force: Write over a model that is there.

        Returns:
            The names of the files.

        Raises:
            ModelFolderError: the folder cannot be written to, or is not empty.
        """
        folder = Path(folder)
        save_model(self.model, folder, force=force)
        if is_file(folder):
            return (folder.name,)
        names = ["model.safetensors", "model.json"]
        if self.observed:
            write_file(folder / "monitor.csv", csv_bytes(observation_table(self.observed)))
            names.append("monitor.csv")
        for what, make in (("pictures", self._figures), ("a page", self._pages)):
            try:
                made = make()
            except MissingPackageError as error:
                warnings.warn(f"The model is saved without {what}. {error}", SelfNormWarning, 2)
                continue
            for name, content in made.items():
                write_file(folder / name, content)
                names.append(name)
        return tuple(names)

    def to_html(self) -> str:
        """A page about the training: what was understood, how good it is, and why.

        Only of a result of `selfnorm.tabular.fit`, which looks at the table.

        Raises:
            ArgumentError: nobody looked.
            MissingPackageError: Jinja2 is not installed.
        """
        if self.seen is None:
            raise ArgumentError(
                "A page tells of a table that `selfnorm.tabular.fit` has looked at; this result "
                "is not from there. Fit the table with it."
            )
        with _extras.told():
            from selfnorm.tabular.explaining._html import page  # noqa: PLC0415 - jinja2 is an extra
        moments = (
            [(layer.mean, layer.variance) for layer in when] for when in (self.before, self.after)
        )
        return page(
            self.name,
            self.seen,
            self.model,
            self.history,
            self.evaluation,
            self.settings,
            (next(moments), next(moments)),
        )

    def _pages(self) -> dict[str, bytes]:
        """The page that belongs to the result, by the name of its file."""
        return {} if self.seen is None else {"report.html": self.to_html().encode()}

    def _figures(self) -> dict[str, bytes]:
        """The pictures that belong to the result, by the names of their files."""
        with _extras.told():
            from selfnorm.plots._monitor import plot_monitor  # noqa: PLC0415 - matplotlib is slow
            from selfnorm.plots._style import rendered  # noqa: PLC0415 - as above
            from selfnorm.plots._training import training_figure  # noqa: PLC0415 - as above
        history = self.history
        curve = training_figure(
            [layer.variance for layer in self.before],
            [layer.variance for layer in self.after],
            loss=[epoch.loss for epoch in history.epochs],
            validation_loss=[epoch.validation_loss for epoch in history.epochs],
            best=history.best.number,
            title=f"{self.name}: {self.settings.depth} hidden layers",
        )
        drawn = {"training.png": rendered(curve, "png")}
        if self.observed:
            drawn["monitor.png"] = rendered(plot_monitor(self.observed, title=self.name), "png")
        return drawn
