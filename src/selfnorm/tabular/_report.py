"""What a model folder says about how its model came to be."""

import math
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from selfnorm.audit import LayerMoments
from selfnorm.tabular._fit import Settings, Trained


def about(
    trained: Trained,
    settings: Settings,
    *,
    metrics: Mapping[str, float],
    baseline: Mapping[str, float],
) -> dict[str, Any]:
    """Versions, settings, metrics, layers and epochs, as plain JSON.

    Nothing here tells the time, so that the same training writes the same bytes.
    """
    history = trained.history
    return {
        "versions": {package: version(package) for package in ("selfnorm", "torch")},
        "training": {
            **vars(settings.options),
            "validation": settings.validation,
            "seed": settings.seed,
        },
        "metrics": dict(metrics),
        "baseline": dict(baseline),
        "layers": {"before": _layers(trained.before), "after": _layers(trained.after)},
        "stop": history.stop,
        "best_epoch": history.best.number,
        "epochs": [
            {
                "loss": _number(epoch.loss),
                "validation_loss": _number(epoch.validation_loss),
                "validation_score": _number(epoch.validation_score),
            }
            for epoch in history.epochs
        ],
    }


def _layers(moments: list[LayerMoments]) -> list[dict[str, Any]]:
    return [
        {"name": one.name, "mean": _number(one.mean), "variance": _number(one.variance)}
        for one in moments
    ]


def _number(value: float) -> float | None:
    """JSON has no nan."""
    return value if math.isfinite(value) else None
