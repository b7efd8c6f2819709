"""Settings found by trying: quasi-random ones, judged by rows that networks did not learn from."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import qmc

from selfnorm.errors import ArgumentError, SelfNormError
from selfnorm.tabular._fit import Prepared, fit_prepared
from selfnorm.tabular._settings import Settings
from selfnorm.tabular._side_by_side import ResultStore, side_by_side
from selfnorm.tabular.explaining._said import from_truth
from selfnorm.training._sections import Section


@dataclass(frozen=True)
class _Between:
    """A number between two, all factors alike."""

    low: float
    high: float

    def at(self, share: float) -> float:
        """The number that a share of the way is."""
        return float(f"{self.low * (self.high / self.low) ** share:.2g}")


@dataclass(frozen=True)
class _OneOf:
    """One of some values, all alike."""

    values: tuple[Any, ...]

    def at(self, share: float) -> Any:
        """The value that a share of the way is."""
        return self.values[min(int(share * len(self.values)), len(self.values) - 1)]


SPACE = {
    "depth": _OneOf((1, 2, 3, 4, 6, 8)),
    "width": _OneOf((32, 64, 128, 256)),
    "dropout": _OneOf((0.0, 0.02, 0.05, 0.1, 0.2)),
    "weights": _OneOf(("lecun", "orthogonal")),
    "learning_rate": _Between(3e-4, 2e-2),
    "weight_decay": _Between(1e-5, 1e-1),
    "batch_size": _OneOf((16, 32, 64, 128, 256)),
}
"""What is tried of each setting, unless it is set."""


@dataclass(frozen=True)
class Trial:
    """Settings that were tried.

    Attributes:
        changes: What of them is not as it was.
        loss: The log loss, or the root mean squared error, of rows left out; infinite if training
            failed.
    """

    changes: dict[str, Any]
    loss: float


def search(
    ready: Prepared,
    settings: Settings,
    trials: int,
    done: Callable[[int, Trial], object] = lambda *_: None,
    section: Section | None = None,
    jobs: int | None = None,
) -> tuple[Settings, tuple[Trial, ...]]:
    """Try settings and return the best, by the loss of rows that networks did not learn from.

    The first are those given, so the best is no worse by this loss; the others follow Sobol's
    sequence, moved as the seed says, which leaves no region out. Only networks of finite width are
    tried: those of infinite width have nothing to set.

    Args:
        ready: The table; rows held out to measure are not looked at.
        settings: What is set in them stays.
        trials: How many to try, 2 or more.
        done: Called after each, with its number from 1.
        section: Where a checkpoint keeps what was tried; None keeps nothing.
        jobs: How many are tried side by side; None for what `joblib.parallel_config` says, by whose
            backend they are.

    Raises:
        ArgumentError: all is set, or fewer than two trials are asked for; or there are no rows to
            judge by.
        SelfNormError: none of them had a finite loss.
    """
    usual = {field.name: field.default for field in fields(Settings)}
    free = [name for name in SPACE if getattr(settings, name) == usual[name]]
    if trials < 2 or not free:
        raise ArgumentError(
            f"A search tries 2 settings or more that are not set; {trials} came, and "
            f"{', '.join(free) or 'all are set'}. Try 20, and leave some of {', '.join(SPACE)} out."
        )
    if ready.judged is None:
        raise ArgumentError(
            "A search judges by rows that are left out; validation is 0. Leave it out."
        )
    moved = np.random.default_rng(settings.seed).random(len(free))
    places = (qmc.Sobol(len(free), scramble=False).random(1 << trials.bit_length()) + moved) % 1
    each: list[dict[str, Any]] = []
    for place in (None, *places[: trials - 1]):
        share = zip(free, place, strict=True) if place is not None else ()
        each.append({name: SPACE[name].at(float(one)) for name, one in share})
    found: list[Trial] = []
    results = ResultStore(section, "trial", _as_record, _from_record)
    losses = side_by_side(partial(_loss_with, ready, settings), each, jobs, results)
    for changes, loss in zip(each, losses, strict=True):
        found.append(Trial(changes, loss))
        done(len(found), found[-1])
    best = min(found, key=lambda one: one.loss)
    if not math.isfinite(best.loss):
        raise SelfNormError(
            "A search needs settings of finite loss; none that was tried has one. Mend the table."
        )
    return replace(settings, **best.changes), tuple(found)


def _as_record(loss: float) -> dict[str, float]:
    return {"loss": loss}


def _from_record(record: Mapping[str, Any]) -> float:
    return float(record["loss"])


def _loss_with(
    ready: Prepared, settings: Settings, changes: dict[str, Any], section: Section | None
) -> float:
    """The loss with some settings changed."""
    return _loss(ready, replace(settings, **changes), section)


def _loss(ready: Prepared, settings: Settings, section: Section | None) -> float:
    """The loss of rows left out."""
    alone = replace(settings, infinite=False)
    try:
        rows = replace(ready, infinite=False, test=_none(ready))
        result = fit_prepared(rows, alone, section=section)
    except SelfNormError:
        return math.inf
    if result.told is None or ready.judged is None:
        return result.history.best.validation_loss
    return from_truth(ready.target, ready.judged.values, ready.judged.weights)(result.told)


def _none(ready: Prepared) -> Any:
    """No rows to measure with, which a trial would only take time for."""
    return ready.test.take(np.arange(0))
