"""Folds and trials on the machines of a Dask cluster."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from selfnorm.cli._console import fail


@contextmanager
def on_cluster(address: str | None) -> Generator[None]:
    """Inside, what joblib runs is run by the workers of a Dask scheduler; None leaves it here."""
    if address is None:
        yield
        return
    import joblib

    with _client(address), joblib.parallel_config("dask"):
        yield


def _client(address: str) -> Any:
    try:
        from dask.distributed import (  # pyright: ignore[reportMissingImports] - a user's own
            Client,
        )
    except ModuleNotFoundError:
        fail(
            "Trials on a cluster are sent by Dask, which is not installed. pip install distributed "
            "brings it, here and on the workers."
        )
    try:
        return Client(address)
    except (OSError, ValueError) as error:
        fail(
            f"--scheduler is the address of a Dask scheduler, as tcp://host:8786; '{address}' does "
            f"not answer as one ({error}). Start it, or mend the address."
        )
