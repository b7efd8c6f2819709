"""How many folds, trials and jobs are asked for, looked at before anything is read."""

from selfnorm.cli._console import fail

_FEWEST = 2


def check_counts(folds: int | None, trials: int | None, jobs: int | None) -> None:
    """End with a line on what cannot be; more folds than rows are told once these are known."""
    for option, what, count, other in (
        ("--cv", "takes folds", folds, 5),
        ("--tune", "tries settings", trials, 20),
    ):
        if count is not None and count < _FEWEST:
            fail(f"{option} {what}, {_FEWEST} or more; {count} came. Try {option} {other}.")
    if jobs == 0:
        fail("Folds and trials run side by side, as many as --jobs says; 0 came. Try 2, or -1.")
