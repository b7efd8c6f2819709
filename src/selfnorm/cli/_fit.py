"""`selfnorm fit`: one command from a table to a trained, saved, explained network."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from selfnorm.cli._console import fail, output, tell

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
    learning_rate: Annotated[float, typer.Option(help="AdamW's, at the start.")] = 5e-4,
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

    folder = folder or Path(f"{Path(table).name.split('.')[0]}-model")
    tabular.check_output(folder, force=force)
    dropout = dropout if dropout is not None else (0.0 if compare else 0.02)
    epochs = epochs if epochs is not None else (30 if compare else 100)
    settings = tabular.Settings(
        tabular.Architecture(width, depth, shape, dropout),
        tabular.Options(epochs, batch_size, learning_rate, weight_decay, patience),
        validation=validation,
        test=test,
        seed=seed,
        device=device,
        categories=tuple(category or ()),
        ignore=tuple(ignore or ()),
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

    with Bars(ready.target.score_name, settings.options.epochs) as bars:
        model, trained = tabular.fit_model(ready, settings, bars.bar("SELU + LeCun"))
    found, baseline = tabular.measure_model(model, ready.test)
    if found:
        what = "rows that training never saw"
        output.print(_show.metrics(found, baseline, len(ready.test.values), what))
    output.print(_show.layers(trained.before, trained.after))
    about = tabular.about(trained, settings, metrics=found, baseline=baseline)
    tabular.save_model(model, folder, about=about)
    history = trained.history
    drawn = plots.training_figure(
        [layer.variance for layer in trained.before],
        [layer.variance for layer in trained.after],
        loss=[epoch.loss for epoch in history.epochs],
        validation_loss=[epoch.validation_loss for epoch in history.epochs],
        best=history.best.number,
        title=f"{name}: {settings.architecture.depth} hidden layers",
    )
    plots.save(drawn, folder / "training.png")
    output.print(f"\nWrote {folder}/: model.safetensors, model.json, training.png")
    output.print(f"Next:  selfnorm predict {folder} TABLE -o predictions.csv")
    _end(trained)


def _compare(name: str, ready: "Prepared", settings: "Settings", folder: Path) -> None:
    from selfnorm import plots, tabular
    from selfnorm.cli import _show
    from selfnorm.cli._progress import Bars

    with Bars(ready.target.score_name, settings.options.epochs) as bars:
        contests = list(tabular.compare(ready, settings, bars.bar))
    measures = [tabular.measure_model(contest.model, ready.test) for contest in contests]
    score = ready.target.score_name
    where = f"{score}, {len(ready.test.values):,} held-out rows"
    scores = [found[score] for found, _ in measures if found]
    if not scores:
        where = f"{score}, validation rows"
        scores = [contest.trained.history.best.validation_score for contest in contests]
    output.print(_show.contests(contests, scores, score))
    (found, baseline), first = measures[0], contests[0]
    if baseline:
        output.print(f"The trivial baseline has {score} {baseline[score]:.4g}.")
    about = tabular.about(first.trained, settings, metrics=found, baseline=baseline)
    tabular.save_model(first.model, folder, about=about)
    curves = [
        plots.Curve(
            contest.contender.name,
            [layer.variance for layer in contest.trained.before],
            [layer.variance for layer in contest.trained.after],
            value,
        )
        for contest, value in zip(contests, scores, strict=True)
    ]
    rows = len(ready.training.inputs)
    title = f"{name}: a plain network of {settings.architecture.depth} layers, {rows:,} rows"
    plots.save(plots.depth_figure(curves, title=title, score=where), folder / "depth.png")
    output.print(f"\nWrote {folder}/: depth.png; model.safetensors, model.json (the SELU network)")
    _end(contests[-1].trained)


def _end(trained: "Trained") -> None:
    """Say why a training ended before its time, where it did; after Ctrl-C the exit code is 2."""
    history = trained.history
    kept = f"the best epoch so far, {history.best.number}, is kept"
    if history.stop == "diverged":
        tell(
            f"The loss was not finite in epoch {len(history.epochs)}; {kept}. Try a smaller "
            "--learning-rate."
        )
    if history.stop == "interrupted":
        fail(f"Stopped by Ctrl-C; {kept} and saved. Run again with --force to train to the end.")
