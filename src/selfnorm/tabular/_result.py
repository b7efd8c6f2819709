"""What `selfnorm.tabular.fit` returns: a model, how its training went, and how good it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from selfnorm._files import write_file
from selfnorm.recording import Observation
from selfnorm.tabular._model import Evaluation, TabularModel
from selfnorm.tabular._output import csv_bytes, observation_table
from selfnorm.tabular._settings import Settings
from selfnorm.tabular._storage import check_output, save_model
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
        evaluation: The model and the trivial baseline on rows that training never saw.
        settings: What was asked for.
        name: What to call it: the name of the table's file.
    """

    model: TabularModel
    history: History
    before: tuple[Observation, ...]
    after: tuple[Observation, ...]
    observed: tuple[Observation, ...]
    evaluation: Evaluation
    settings: Settings
    name: str = "the table"

    @property
    def metrics(self) -> Mapping[str, float]:
        """The model's metrics on rows that training never saw; empty if none were held out."""
        return self.evaluation.metrics

    @property
    def baseline(self) -> Mapping[str, float]:
        """The trivial baseline's on the same rows."""
        return self.evaluation.baseline

    def save(self, folder: str | Path, *, force: bool = False) -> tuple[str, ...]:
        """Write a model folder: weights, record, learning curve; what was monitored, if anything.

        Args:
            folder: Where to; it is made if needed.
            force: Write over a model that is there.

        Returns:
            The names of the files.

        Raises:
            ModelFolderError: the folder cannot be written to, or is not empty.
        """
        from selfnorm.plots import save  # noqa: PLC0415 - matplotlib is slow to import
        from selfnorm.plots._monitor import plot_monitor  # noqa: PLC0415 - as above
        from selfnorm.plots._training import training_figure  # noqa: PLC0415 - as above

        folder = Path(folder)
        check_output(folder, force=force)
        history = self.history
        curve = training_figure(
            [layer.variance for layer in self.before],
            [layer.variance for layer in self.after],
            loss=[epoch.loss for epoch in history.epochs],
            validation_loss=[epoch.validation_loss for epoch in history.epochs],
            best=history.best.number,
            title=f"{self.name}: {self.settings.depth} hidden layers",
        )
        save_model(self.model, folder)
        save(curve, folder / "training.png")
        names = ("model.safetensors", "model.json", "training.png")
        if not self.observed:
            return names
        write_file(folder / "monitor.csv", csv_bytes(observation_table(self.observed)))
        drawn = plot_monitor(self.observed, title=self.name)
        save(drawn, folder / "monitor.png")
        return (*names, "monitor.csv", "monitor.png")
