"""`selfnorm fit`: one command from a table to a trained, saved, explained network."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from selfnorm.cli._console import fail, output, tell
from selfnorm.cli._interrupt import interruptible, undisturbed

if TYPE_CHECKING:
    from selfnorm.tabular import Prepared, Settings, Trained

_HELP_TABLE = "CSV or Parquet file, or digits, breast-cancer, wine, diabetes."


def fit(
    table: Annotated[str, typer.Argument(metavar="TABLE", help=_HELP_TABLE)],
    target: Annotated[
        str | None, typer.Option("--target", "-t", help="Column to predict.", show_default=False)
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="MODEL", help="Folder to write. Default: TABLE's name-model."
        ),
    ] = None,
    task: Annotated[
        Literal["classification", "regression"] | None,
        typer.Option(help="Default: told by the target.", show_default=False),
    ] = None,
    depth: Annotated[int, typer.Option(help="Hidden layers.")] = 8,
    width: Annotated[int, typer.Option(help="Units of a hidden layer.")] = 128,
    shape: Annotated[
        Literal["rectangular", "conic"], typer.Option(help="Widths of the layers.")
    ] = "rectangular",
    dropout: Annotated[
        float | None, typer.Option(help="Rate of alpha dropout. Default: 0.02; 0 with --compare.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Most epochs. Default: 100; 30 with --compare.")
    ] = None,
    patience: Annotated[int, typer.Option(help="Epochs without gain before it stops.")] = 20,
    batch_size: Annotated[
        int | None, typer.Option(help="Rows a step. Default: a 32nd of the rows, 16 to 256.")
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="AdamW's, at the start. Default: 0.0005; 0.001 with --compare."),
    ] = None,
    weight_decay: Annotated[float, typer.Option(help="AdamW's.")] = 1e-4,
    validation: Annotated[float, typer.Option(help="Share of rows to choose the epoch.")] = 0.15,
    test: Annotated[float, typer.Option(help="Share of rows held out to measure.")] = 0.15,
    category: Annotated[
        list[str] | None, typer.Option(help="Number column that is a category (repeatable).")
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(help="Column to leave out (repeatable).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same machine: same model.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Train ReLU, BatchNorm and tanh networks beside SELU."),
    ] = False,
    monitor: Annotated[
        bool,
        typer.Option(
            "--monitor", help="Record the layers in every 100th step: monitor.csv, monitor.png."
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write over a model in the output folder.")
    ] = False,
) -> None:
    """Train a deep self-normalizing network on a table and save it.

    It tells classification from regression, standardizes numbers, one-hot encodes categories,
    handles missing values, holds out rows, trains, and shows what every layer does.

        selfnorm fit patients.csv --target outcome
    """
    from selfnorm import tabular

    if monitor and compare:
        fail("--monitor records one network, and --compare trains several. Choose one of the two.")
    folder = folder or Path(f"{Path(table).name.split('.')[0]}-model")
    tabular.check_output(folder, force=force)
    dropout = dropout if dropout is not None else (0.0 if compare else 0.02)
    epochs = epochs if epochs is not None else (30 if compare else 100)
    if learning_rate is None:
        learning_rate = 1e-3 if compare else 5e-4  # the rivals' usual one
    settings = tabular.Settings(
        tabular.Architecture(width, depth, shape, dropout),
        tabular.Options(epochs, batch_size, learning_rate, weight_decay, patience),
        validation=validation,
        test=test,
        seed=seed,
        device=device,
        categories=tuple(category or ()),
        ignore=tuple(ignore or ()),
        monitor=100 if monitor else 0,
    )
    source = tabular.read_source(table, target, task=task, categories=settings.categories)
    ready = tabular.prepare(source, settings)

    from selfnorm.cli import _show

    output.print(_show.understood(table, source, ready))
    output.print()
    run = _compare if compare else _fit
    run(Path(table).name, ready, settings, folder)


def _fit(name: str, ready: "Prepared", settings: "Settings", folder: Path) -> None:
    from selfnorm import plots, tabular
    from selfnorm.cli import _show
    from selfnorm.cli._progress import Bars

    with Bars(ready.target.score_name, settings.options.epochs) as bars, interruptible():
        model, trained = tabular.fit_model(ready, settings, bars.bar("SELU + LeCun"))
    found, baseline = tabular.measure_model(model, ready.test)
    history = trained.history
    figure = plots.training_figure(
        [layer.variance for layer in trained.before],
        [layer.variance for layer in trained.after],
        loss=[epoch.loss for epoch in history.epochs],
        validation_loss=[epoch.validation_loss for epoch in history.epochs],
        best=history.best.number,
        title=f"{name}: {settings.architecture.depth} hidden layers",
    )
    about = tabular.about(trained, settings, metrics=found, baseline=baseline)
    with undisturbed():
        tabular.save_model(model, folder, about=about)
        plots.save(figure, folder / "training.png")
        if trained.observed:
            _save_monitored(trained, folder, name)
    if found:
        what = "rows that training never saw"
        output.print(_show.metrics(found, baseline, len(ready.test.values), what))
    output.print(_show.layers(trained.before, trained.after))
    more = ", monitor.csv, monitor.png" if trained.observed else ""
    output.print(f"\nWrote {folder}/: model.safetensors, model.json, training.png{more}")
    output.print(f"Next:  selfnorm predict {folder} TABLE -o predictions.csv")
    _tell_diverged("The loss", trained)
    if history.stop == "interrupted":
        fail(
            f"Stopped by Ctrl-C; the best epoch so far, {history.best.number}, is kept and saved. "
            "Run again with --force to train to the end."
        )


def _save_monitored(trained: "Trained", folder: Path, name: str) -> None:
    from selfnorm import plots, tabular
    from selfnorm._files import write_file

    table = tabular.observation_table(trained.observed)
    write_file(folder / "monitor.csv", tabular.csv_bytes(table))
    plots.save(plots.plot_monitor(trained.observed, title=name), folder / "monitor.png")


def _compare(name: str, ready: "Prepared", settings: "Settings", folder: Path) -> None:
    from selfnorm import plots, tabular
    from selfnorm.cli import _show
    from selfnorm.cli._progress import Bars

    with Bars(ready.target.score_name, settings.options.epochs) as bars, interruptible():
        contests = tabular.compare(ready, settings, bars.bar)
    scores = [contest.score(ready) for contest in contests]
    curves = [
        plots.Curve(
            contest.contender.name,
            [layer.variance for layer in contest.trained.before],
            [layer.variance for layer in contest.trained.after],
            score,
        )
        for contest, score in zip(contests, scores, strict=True)
    ]
    score_name, held = ready.target.score_name, len(ready.test.values)
    rows = f"{len(ready.training.inputs):,} rows"
    figure = plots.depth_figure(
        curves,
        title=f"{name}: a plain network of {settings.architecture.depth} layers, {rows}",
        score=f"{score_name}, {held:,} held-out rows" if held else f"{score_name}, validation rows",
    )
    selu = contests[0]
    found, baseline = tabular.measure_model(selu.model, ready.test)
    about = tabular.about(selu.trained, settings, metrics=found, baseline=baseline)
    with undisturbed():
        tabular.save_model(selu.model, folder, about=about)
        plots.save(figure, folder / "depth.png")
    output.print(_show.contests(contests, scores, score_name))
    if baseline:
        output.print(f"The trivial baseline has {score_name} {baseline[score_name]:.4g}.")
    output.print(f"\nWrote {folder}/: depth.png; model.safetensors, model.json (the SELU network)")
    for contest in contests:
        _tell_diverged(f"{contest.contender.name}: the loss", contest.trained)
    if (
        len(contests) < len(tabular.CONTENDERS)
        or contests[-1].trained.history.stop == "interrupted"
    ):
        fail("Stopped by Ctrl-C; what was trained so far is saved. Run again with --force.")


def _tell_diverged(what: str, trained: "Trained") -> None:
    if trained.history.stop == "diverged":
        tell(
            f"{what} was not finite in epoch {len(trained.history.epochs)}; the best epoch so far, "
            f"{trained.history.best.number}, is kept. Try a smaller --learning-rate."
        )
