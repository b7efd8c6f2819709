"""How each method did on a group of tasks; only splits count that all methods have."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.tabular import ranks
from benchmarks.tabular.ranks import Records, Run

OURS = "selfnorm"


@dataclass(frozen=True)
class Standing:
    """How a method did on the tasks of a group.

    `score` and `ece` are means over the tasks where no method failed; `behind` is the share of
    tasks where it came last or second to last, `p` Wilcoxon's against ours. `seconds` are those of
    fits of a split of each task, the first: others may have been measured beside other work.
    """

    method: str
    rank: float
    score: float
    loss_rank: float | None
    ece: float | None
    seconds: float
    behind: float
    wins: int
    p: float | None
    failures: int


@dataclass(frozen=True)
class Judgement:
    """The standings on a group of tasks, the best first, and the scores, tasks x methods."""

    group: str
    score: str
    methods: tuple[str, ...]
    splits: dict[str, list[int]]
    scores: np.ndarray
    standings: list[Standing]
    critical: float


def judge(
    records: Records, methods: Sequence[str], names: Iterable[str], group: str, score: str
) -> Judgement | None:
    """Rank methods by a score (`accuracy`, `r2`); None if no two of them share a split."""
    splits = ranks.shared(records, methods, names)
    if len(methods) < 2 or not splits:
        return None
    scores = ranks.means(records, methods, splits, score)
    losses, errors = (ranks.means(records, methods, splits, one) for one in ("log_loss", "ece"))
    speaks = ~np.isnan(losses).all(0)
    loss_ranks = np.full(scores.shape, np.nan)
    if speaks.any():
        loss_ranks[:, speaks] = ranks.ranks(losses[:, speaks], most_first=False)
    places = ranks.ranks(scores, most_first=True)
    whole = ~np.isnan(scores).any(1)
    runs = [(task, k) for task in splits for k in splits[task]]
    found = [[records[Run(name, *run)] for run in runs] for name in methods]
    timed = [[records[Run(name, task, splits[task][0])] for task in splits] for name in methods]
    ours = scores[:, methods.index(OURS)] if OURS in methods else None
    standings = [
        Standing(
            method=name,
            rank=places[:, k].mean(),
            score=scores[whole, k].mean(),
            loss_rank=loss_ranks[:, k].mean() if speaks[k] else None,
            ece=errors[whole, k].mean() if speaks[k] else None,
            seconds=sum(record["seconds_fit"] for record in timed[k]),
            behind=(places[:, k] >= len(methods) - 1).mean(),
            wins=int((places[:, k] == places.min(1)).sum()),
            p=None if ours is None or name == OURS else ranks.signed_rank(ours, scores[:, k]),
            failures=sum(record["error"] is not None for record in found[k]),
        )
        for k, name in enumerate(methods)
    ]
    return Judgement(
        group,
        score,
        tuple(methods),
        splits,
        scores,
        sorted(standings, key=lambda one: one.rank),
        ranks.critical_difference(len(methods), len(splits)),
    )
