"""`selfnorm fit`: one command from a table to a trained, saved, explained network."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfnorm._files import write_file
from selfnorm.cli._checkpointed import checkpointed
from selfnorm.cli._cluster import on_cluster
from selfnorm.cli._config import configured_table, read_config, seconds, write_config
from selfnorm.cli._console import fail, hush, output, tell, tell_json
from selfnorm.cli._counts import check_counts
from selfnorm.cli._interrupt import asking, undisturbed
from selfnorm.cli._option import option
from selfnorm.cli._table import (
    Encoding,
    Json,
    Quiet,
    bytes_of,
    check_columns,
    named,
    source,
    stem,
)
from selfnorm.cli._together import joined, mute_but_first
from selfnorm.nn._widths import Shape, Weights
from selfnorm.recording._observation import EVERY
from selfnorm.tabular._settings import Distribute, OnError, Preset, Settings, Task

if TYPE_CHECKING:
    from selfnorm.tabular import Result
    from selfnorm.tabular._fit import Prepared
    from selfnorm.tabular._search import Trial
    from selfnorm.tabular._validate import CrossValidation
    from selfnorm.training import Checkpoint, Processes
    from selfnorm.training._sections import Section

_HELP_TABLE = (
    "CSV or Parquet file, several, a folder, a 'pattern*', - for stdin; or digits, breast-cancer, "
    "wine, diabetes."
)


def fit(
    table: Annotated[
        list[str] | None, typer.Argument(metavar="TABLE", help=_HELP_TABLE, show_default=False)
    ] = None,
    target: Annotated[
        list[str] | None, option("target", "--target", "-t", metavar="COLUMN", show_default=False)
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="MODEL", help="Folder to write. Default: TABLE's name-model."
        ),
    ] = None,
    task: Annotated[Task | None, option("task", show_default=False)] = Settings.task,
    preset: Annotated[Preset, option("preset")] = Settings.preset,
    depth: Annotated[int | None, option("depth", show_default=False)] = Settings.depth,
    width: Annotated[int | None, option("width", show_default=False)] = Settings.width,
    shape: Annotated[Shape, option("shape")] = Settings.shape,
    dropout: Annotated[float | None, option("dropout", show_default=False)] = Settings.dropout,
    weights: Annotated[Weights | None, option("weights", show_default=False)] = Settings.weights,
    n_estimators: Annotated[
        int | None, option("n_estimators", show_default=False)
    ] = Settings.n_estimators,
    infinite: Annotated[
        bool | None, option("infinite", "--infinite/--no-infinite", show_default=False)
    ] = Settings.infinite,
    epochs: Annotated[int | None, option("epochs", show_default=False)] = Settings.epochs,
    patience: Annotated[int, option("patience")] = Settings.patience,
    time_limit: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="After which no epoch begins: 90, 10m, 2h.", show_default=False
        ),
    ] = None,
    batch_size: Annotated[int | None, option("batch_size")] = Settings.batch_size,
    learning_rate: Annotated[
        float | None, option("learning_rate", show_default=False)
    ] = Settings.learning_rate,
    weight_decay: Annotated[float, option("weight_decay")] = Settings.weight_decay,
    validation: Annotated[float, option("validation")] = Settings.validation,
    test: Annotated[float | None, option("test", show_default=False)] = Settings.test,
    category: Annotated[list[str] | None, option("categories", metavar="COLUMN")] = None,
    ignore: Annotated[list[str] | None, option("ignore", metavar="COLUMN")] = None,
    missing: Annotated[list[str] | None, option("missing", metavar="WORD")] = None,
    sample_weight: Annotated[
        str | None, option("sample_weight", metavar="COLUMN", show_default=False)
    ] = Settings.sample_weight,
    memory: Annotated[str | None, option("memory", metavar="SIZE", show_default=False)] = None,
    on_error: Annotated[OnError, option("on_error")] = Settings.on_error,
    group: Annotated[
        str | None, option("group", metavar="COLUMN", show_default=False)
    ] = Settings.group,
    split_by_time: Annotated[
        str | None, option("split_by_time", metavar="COLUMN", show_default=False)
    ] = Settings.split_by_time,
    cv: Annotated[
        int | None,
        typer.Option("--cv", metavar="FOLDS", help="Measure by folds, too.", show_default=False),
    ] = None,
    tune: Annotated[
        int | None,
        typer.Option(
            "--tune", metavar="TRIALS", help="Try so many settings first.", show_default=False
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            metavar="N",
            help="Folds or trials side by side; -1: one a processor.",
            show_default=False,
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Dask's, on whose workers they run.", show_default=False
        ),
    ] = None,
    distribute: Annotated[
        Distribute | None, option("distribute", show_default=False)
    ] = Settings.distribute,
    seed: Annotated[int, option("seed")] = Settings.seed,
    device: Annotated[str, option("device", metavar="NAME")] = Settings.device,
    encoding: Encoding = None,
    monitor: Annotated[
        bool,
        typer.Option(
            "--monitor",
            help=f"Record the layers in every {EVERY}th step: monitor.csv, monitor.png.",
        ),
    ] = False,
    resume: Annotated[
        bool | None,
        typer.Option(
            "--resume/--no-resume",
            help="Go on where a fit into MODEL was cut off, as torchrun's restarts do; or discard "
            "what it left.",
            show_default=False,
        ),
    ] = None,
    config: Annotated[  # it is read before the others are
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            help="Take options from a file, such as MODEL/config.toml.",
            show_default=False,
            is_eager=True,
            callback=read_config,
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write over a model in the output folder.")
    ] = False,
) -> None:
    """Train a deep self-normalizing network on a table and save it.

    It tells classification from regression, standardizes numbers, one-hot
    encodes categories, handles missing values, holds out rows, trains, and
    shows what every layer does.

        selfnorm fit patients.csv --target outcome
    """
    mute_but_first()
    hush(quiet=quiet, json=json)
    if not table and config:  # of an argument of several values older clicks take no default
        table = configured_table(config)
    if not table:
        fail("A training needs a table; none came. Name it: selfnorm fit TABLE --target COLUMN.")
    settings = Settings(
        target=tuple(target) if target else None,
        task=task,
        preset=preset,
        width=width,
        depth=depth,
        shape=shape,
        dropout=dropout,
        weights=weights,
        n_estimators=n_estimators,
        infinite=infinite,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        patience=patience,
        time_limit=seconds(time_limit),
        validation=validation,
        test=test,
        categories=tuple(category or ()),
        ignore=tuple(ignore or ()),
        missing=tuple(missing or ()),
        sample_weight=sample_weight,
        memory=None if memory is None else bytes_of(memory),
        on_error=on_error,
        group=group,
        split_by_time=split_by_time,
        seed=seed,
        device=device,
        monitor=EVERY if monitor else 0,
        distribute=distribute,
    )
    asked = _Asked(
        table, encoding, settings, folder or Path(f"{stem(table)}-model"), cv, tune, jobs, scheduler
    )
    check_counts(cv, tune, jobs)
    with joined() as processes:
        if processes is not None:
            asked = replace(asked, processes=processes)
        check_columns(table, encoding, settings)
        kept = checkpointed(
            asked.folder, resume, force=force, cv=cv, tune=tune, processes=processes
        )
        with kept as checkpoint:
            trained = _trained(replace(asked, checkpoint=checkpoint))
            if not asked.first:
                return
            result = trained.result
            with undisturbed():
                files = result.save(asked.folder, force=force or checkpoint.resume is True)
                if asked.folder.is_dir():  # a model that is one file has no place for it
                    options = {"table": table, **trained.options, "encoding": encoding, "cv": cv}
                    write_file(asked.folder / "config.toml", write_config(options).encode())
                    files = (*files, "config.toml")
                if result.history.stop != "interrupted":
                    checkpoint.remove()
            left = checkpoint.exists
    if json:
        tell_json(_as_json(trained, asked.folder))
    _report(result, asked.folder, files, kept=left)


@dataclass(frozen=True)
class _Asked:
    """What is to be trained, and by whom."""

    table: list[str]
    encoding: str | None
    settings: Settings
    folder: Path
    cv: int | None
    tune: int | None
    jobs: int | None
    scheduler: str | None
    processes: "Processes | None" = None
    checkpoint: "Checkpoint | None" = None

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.processes is None or self.processes.rank == 0

    def section(self, name: str) -> "Section | None":
        """A part of the checkpoint, if there is one."""
        return None if self.checkpoint is None else self.checkpoint.section(name)


@dataclass
class _Trained:
    """A result, the options that lead to it again, and what was measured on the way."""

    result: "Result"
    settings: Settings
    validated: "CrossValidation | None" = None
    tried: "tuple[Trial, ...]" = ()

    @property
    def options(self) -> dict[str, Any]:
        """What was asked for, by the names of the options."""
        named = {"categories": "category"}
        found = {named.get(name, name): value for name, value in vars(self.settings).items()}
        return {**found, "monitor": bool(self.settings.monitor)}


def _trained(asked: _Asked) -> _Trained:
    """Train with a bar; what was understood of the table comes first."""
    from selfnorm import tabular
    from selfnorm.cli import _show
    from selfnorm.cli._progress import Bar, Counted
    from selfnorm.training._processes import ALONE

    settings, cv, tune = asked.settings, asked.cv, asked.tune
    found: dict[str, Any] = {"settings": settings}
    with ExitStack() as stack:
        bar = Bar()

        def begin(ready: "Prepared") -> Settings:
            output.print(_show.understood(named(asked.table), ready))
            output.print()
            if asked.checkpoint is not None:
                several = asked.checkpoint.processes.several
                stack.enter_context(asking(asked.checkpoint.ask, several=several))
            if (shared := ready.distribution.told) is not None:
                tell(f"Training by {shared}.")
            how = settings
            if ready.streamed is not None and (cv is not None or tune is not None):
                fail(
                    "Folds and trials train on a table in memory; this one is read in parts. "
                    "Leave out --cv and --tune, or allow more --memory."
                )
            if asked.processes is not None and (cv is not None or tune is not None):
                fail(
                    "Folds and trials are each trained by one process; torchrun has started "
                    f"{asked.processes.size}. Leave out --cv and --tune, or start without it."
                )
            if tune is not None:
                from selfnorm.tabular._search import search
                from selfnorm.tabular.explaining._said import loss_name

                counting = Counted("settings tried", tune)
                with counting as counted, on_cluster(asked.scheduler):
                    part = asked.section("tuned")
                    how, found["tried"] = search(ready, how, tune, counted, part, asked.jobs)
                output.print(_show.tried(found["tried"], loss_name(ready.target)))
            found["settings"] = how
            if cv is not None:
                from selfnorm.tabular._validate import cross_validate

                with Counted("folds", cv) as counted, on_cluster(asked.scheduler):
                    part = asked.section("folds")
                    found["validated"] = cross_validate(
                        ready.source, how, cv, counted, part, asked.jobs
                    )
                output.print(_show.folds(found["validated"]))
            bar.score_name = ready.target.score_name.split()[0]  # a terminal has 80 columns
            bar.show(how.sized(ready.rows))
            stack.enter_context(bar)
            return how

        result = tabular.fit(
            source(asked.table, asked.encoding),
            settings,
            progress=bar,
            prepared=begin,
            checkpoint=asked.checkpoint,
            processes=asked.processes or ALONE,
        )
    return _Trained(result, **found)


def _as_json(trained: _Trained, folder: Path) -> dict[str, Any]:
    """What a program wants to know of a training."""
    from selfnorm.cli import _show

    result = trained.result
    found = {
        "model": str(folder),
        **_show.evaluation_as_json(result.evaluation),
        "stop": result.history.stop,
        "epochs": len(result.history.epochs),
        "best_epoch": result.history.best.number,
    }
    if trained.validated is not None:
        folds = [dict(one.metrics) for one in trained.validated.folds]
        metrics = trained.validated.metrics.items()
        spread = {name: {"mean": mean, "deviation": apart} for name, (mean, apart) in metrics}
        found["cv"] = {"folds": folds, "metrics": spread}
    if trained.tried:
        found["tried"] = [{"loss": one.loss, **one.changes} for one in trained.tried]
    return found


def _report(result: "Result", folder: Path, files: tuple[str, ...], *, kept: bool) -> None:
    from selfnorm.cli import _show

    history = result.history
    if result.metrics:
        output.print(_show.metrics(result.evaluation, "rows that training never saw"))
    for one in _show.by_output(result.evaluation):
        output.print(one)
    if (networks := _show.networks(result.model)) is not None:
        output.print(networks)
    output.print(_show.layers(result.before, result.after))
    wrote = f"Wrote {folder}/: {', '.join(files)}" if folder.is_dir() else f"Wrote {folder}"
    output.print()
    output.print(fill(wrote, 80, break_long_words=False, break_on_hyphens=False))
    output.print(f"Next:  selfnorm predict {folder} TABLE -o predictions.csv")
    if history.stop == "diverged":
        tell(
            f"The loss was not finite in epoch {len(history.epochs)}; the best epoch so far, "
            f"{history.best.number}, is kept. Try a smaller --learning-rate."
        )
    if history.stop == "time":
        tell(f"The time was up after epoch {len(history.epochs)}; the best is kept.")
    if history.stop == "interrupted":
        fail(
            f"Stopped by Ctrl-C; the best epoch so far, {history.best.number}, is kept and saved. "
            f"Run again with {'--resume' if kept else '--force'} to train to the end."
        )
