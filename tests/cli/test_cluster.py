"""Folds and trials on a Dask cluster, where Dask is installed."""

from pathlib import Path

import pyarrow.csv as pacsv
import pytest
from typer.testing import CliRunner

from selfnorm.cli._app import app
from support.tables import small_table

SHORT = ["-t", "label", "--ignore", "amount", "--epochs", "1", "--n-estimators", "1"]


@pytest.mark.filterwarnings("default")
def test_trials_on_a_cluster_find_what_trials_here_find(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    pacsv.write_csv(small_table(), tmp_path / "t.csv")

    def config(name: str, *more: str) -> str:
        out = tmp_path / name
        asked = ["fit", str(tmp_path / "t.csv"), *SHORT, "--tune", "2", "-o", str(out), *more]
        told = CliRunner().invoke(app, asked)
        assert told.exit_code == 0, told.output
        return (out / "config.toml").read_text()

    ran: list[str] = []

    class Counting(distributed.SchedulerPlugin):
        def transition(self, key: str, _: str, finish: str, *__: object, **___: object) -> None:
            ran.extend([key] * (finish == "memory"))

    two = {
        "n_workers": 2,
        "threads_per_worker": 1,
        "processes": False,
    }  # of one joblib makes no use
    with distributed.LocalCluster(**two, dashboard_address=":0") as cluster:
        cluster.scheduler.add_plugin(Counting(), name="counting")
        there = config("there", "--scheduler", cluster.scheduler_address)
    assert there == config("here")
    assert ran
