"""What a model folder says about how its model came to be, and what is read from it again."""

import math
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import version
from typing import Any, cast

import numpy as np

from selfnorm.recording import Observation
from selfnorm.tabular._evaluation import Evaluation
from selfnorm.tabular._interval import Errors, errors_to_record
from selfnorm.tabular._model import TabularModel
from selfnorm.tabular._settings import Settings
from selfnorm.training._history import Epoch, History

_FIGURES = ("loss", "validation_loss", "validation_score")


def about(
    history: History,
    before: Sequence[Observation],
    after: Sequence[Observation],
    measured: Evaluation,
    errors: Sequence[Errors | None],
    settings: Settings,
    asked: Settings,
    columns: Sequence[str],
) -> dict[str, Any]:
    """Versions, settings, metrics, errors, layers and epochs, as plain JSON.

    Settings are those of the first networks, with numbers in place of what the rows decided; which
    these are, is told by what was asked.
    Nothing here tells the time, so that the same training writes the same bytes.
    """
    return {
        "versions": {package: version(package) for package in ("selfnorm", "torch")},
        "columns": list(columns),
        "training": {
            **{n: value for n, value in vars(settings.options).items() if n in vars(settings)},
            "validation": settings.validation,
            "infinite": settings.infinite,
            "preset": settings.preset,
            "chosen": [n for n, value in vars(settings).items() if value != getattr(asked, n)],
            "seed": settings.seed,
        },
        "metrics": dict(measured.metrics),
        "cross_fitted": measured.cross_fitted,
        "baseline": dict(measured.baseline),
        "errors": errors_to_record(errors),
        "layers": {"before": _layers(before), "after": _layers(after)},
        "stop": history.stop,
        "best_epoch": history.best.number,
        "epochs": [
            {name: _number(getattr(epoch, name)) for name in _FIGURES} for epoch in history.epochs
        ],
    }


def history_of(recorded: Mapping[str, Any]) -> History:
    """The epochs that a record tells of; seconds are not recorded."""
    epochs = tuple(
        Epoch(number, *(_float(entry[name]) for name in _FIGURES), seconds=math.nan)
        for number, entry in enumerate(recorded["epochs"], 1)
    )
    best = {epoch.number: epoch for epoch in epochs}[recorded["best_epoch"]]
    return History(epochs, best, recorded["stop"])


def layers_of(recorded: Mapping[str, Any], when: str) -> tuple[Observation, ...]:
    """The layers' moments `before` or `after` the training that a record tells of."""
    unknown = dict.fromkeys(("omega", "tau", "gradient", "gain"), math.nan)
    return tuple(
        Observation(
            0,
            one["name"],
            "",
            _float(one["mean"]),
            _float(one["variance"]),
            **unknown,
            gram_error=_float(one.get("gram_error")),
        )
        for one in recorded["layers"][when]
    )


def plain(value: Any) -> Any:
    """A parameter as JSON can hold it; what it cannot becomes None."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        pairs = cast("Mapping[Any, Any]", value).items()
        return {"pairs": [[plain(key), plain(one)] for key, one in pairs]}
    if isinstance(value, Collection) and not isinstance(value, str):
        items = (one.item() if isinstance(one, np.generic) else one for one in value)
        return [one if isinstance(one, bool | int) else str(one) for one in items]
    return value if value is None or isinstance(value, str | int | float) else None


def parameter_from(saved: Any) -> Any:
    """The inverse of `plain`."""
    if isinstance(saved, Mapping):
        return dict(cast("Mapping[str, Any]", saved)["pairs"])
    return saved


def parameters_of(model: TabularModel) -> dict[str, Any]:
    """The parameters of a model that the command line trained; what rows decided is None again."""
    training = dict(model.about["training"])
    batch, seed = training.pop("batch_size"), training.pop("seed")
    chosen = dict.fromkeys(training.pop("chosen", ()))
    known = vars(model.architectures[0]) | training | chosen
    known |= {"missing": model.encoder.missing} if model.encoder.missing else {}
    return {**known, "batch_size": "auto" if batch is None else batch, "random_state": seed}


def _layers(moments: Sequence[Observation]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for one in moments:
        layer = {"name": one.layer, "mean": _number(one.mean), "variance": _number(one.variance)}
        if math.isfinite(one.gram_error):
            layer["gram_error"] = one.gram_error
        found.append(layer)
    return found


def _number(value: float) -> float | None:
    """JSON has no nan."""
    return value if math.isfinite(value) else None


def _float(value: float | None) -> float:
    return math.nan if value is None else float(value)
