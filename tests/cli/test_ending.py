"""How the program ends after a user's mistake: at once, with all that it said, and nothing left."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

# What stands in the buffers of stdout and stderr is long enough to be cut by a careless end.
CODE = """
import atexit, sys, threading, time
from selfnorm.cli import main
sys.stdout.write("told before " * 99)
atexit.register(print, "what ends in order")
threading.Thread(target=time.sleep, args=(60,)).start()  # as one that still reads a table
main()
"""


def ended(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CODE, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=50,  # and not when the thread is done
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("fit", "t.parquet", "-t", "nope"), "there is no 'nope'"),
        (("predict", "none", "t.parquet", "-o", "out.csv"), "there is no 'none/model.json'"),
        (("fit", "t.parquet", "--dept", "3"), "no option --dept"),
    ],
)
def test_a_mistake_ends_it_at_once_with_all_that_was_said(
    arguments: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    pq.write_table(pa.table({"a": range(9), "y": range(9)}), tmp_path / "t.parquet")
    found = ended(tmp_path, *arguments)
    assert found.returncode == 2
    assert found.stdout == "told before " * 99
    (line,) = found.stderr.splitlines()
    assert line.startswith("Error: ")
    assert told in line
    assert [one.name for one in tmp_path.iterdir()] == ["t.parquet"]


def test_what_is_no_mistake_ends_in_order(tmp_path: Path) -> None:
    code = CODE.replace("threading.Thread", "(lambda **_: threading.Thread(target=int))")
    found = subprocess.run(
        [sys.executable, "-c", code, "--version"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0
    assert found.stdout.endswith("what ends in order\n")
