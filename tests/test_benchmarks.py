"""The benchmarks run, find their results right, and fill the page; times are not looked at."""

import json
import os
import runpy
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from benchmarks import __main__ as everything
from benchmarks import table
from benchmarks._harness import Row, line, save

from support.jaxed import require_jax
from support.pages import ROOT

# In a process of their own: what is about processes, memory and threads; and what brings in JAX,
# which warns of every fork after it; and what forks. Importing torch takes longer than most others.
ALONE = {"startup", "stress", "ops", "training", "scaling", "jaxed", "jaxed_accuracy"}


@pytest.mark.parametrize("name", everything.NAMES)
@pytest.mark.filterwarnings("default")
def test_runs_quickly_and_is_right(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name.startswith("jaxed"):
        require_jax()
    arguments = ["--quick", "--results", str(tmp_path)]
    if name in ALONE:
        environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
        if name == "stress":  # is about threads
            environment["OMP_NUM_THREADS"] = "2"
        outcome = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}", *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert outcome.returncode == 0, outcome.stderr
    else:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(ROOT / "benchmarks" / f"{name}.py"), run_name="__main__")
    if name == "gpu" and not torch.cuda.is_available():
        assert not list(tmp_path.iterdir()), "figures of a machine with a GPU stay as they are"
        return
    result = json.loads((tmp_path / f"{name}.json").read_text())
    assert result["machine"]["torch"]
    for row in result["rows"]:
        assert row["what"]
        assert not row["wrong"], row


def test_a_ratio_counts_only_where_the_results_are_right() -> None:
    aims = {"ratio": 3.0, "least": 2.0, "wanted": 4.0}
    assert Row("a", "b", "1 s", "3 s", **aims).verdict == "reached"
    assert Row("a", "b", "1 s", "3 s", **aims | {"ratio": 4.0}).verdict == "as wanted"
    assert Row("a", "b", "1 s", "3 s", **aims | {"ratio": 1.9}).verdict == "missed"
    wrong = Row("a", "b", "1 s", "3 s", **aims, low=2.5, high=3.5, wrong="off")
    assert wrong.verdict == "WRONG: off"
    assert "3.00" not in line(wrong)
    assert table.spread(asdict(wrong)) == ""


def test_the_page_takes_the_figures(tmp_path: Path) -> None:
    row = Row("selu", "torch", "1 s", "3 s", ratio=3.0, low=2.5, high=3.5, least=2.0, wanted=4.0)
    facts = {"processor": "A", "cores": "2", "vectors": "AVX2", "threads": "2"}
    save(tmp_path / "ops.json", facts | {"commit": "abc", "date": "2026-01-01"}, [row])
    page = "before\n<!-- ops -->\nold\n<!-- end -->\n<!-- other -->\nstays\n<!-- end -->\nafter\n"
    made = table.render(page, tmp_path)
    assert "| selu | 1 s | torch: 3 s | **3.00** (2.50 to 3.50) | 2, 4: reached |" in made
    assert "old" not in made
    assert "stays" in made
    assert made.startswith("before\n<!-- ops -->\n")
    assert table.render(made, tmp_path) == made


def test_every_benchmark_has_its_place_on_the_page() -> None:
    page = table.PAGE.read_text()
    for name in everything.NAMES:
        assert f"<!-- {name} -->" in page
