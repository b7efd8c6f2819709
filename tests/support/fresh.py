"""Processes with nothing but torch in them: forked from one, as importing it takes their time."""

import atexit
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from support.forks import NO_THREADS
from support.pages import ROOT

_LONGEST = 240  # seconds of a job; less than a test may take, which would leave the server waiting
# Reads jobs, one a line; answers with the exit code of the process that ran it. One that takes too
# long is ended with all that it started, and each says where it was.
SERVER = """
import atexit, faulthandler, json, os, signal, sys, time, traceback, warnings
import torch

def ended(child, end):
    pause = 0.001
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(pause)
        pause = min(2 * pause, 0.02)
    os.killpg(child, signal.SIGABRT)
    time.sleep(1)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "too long"

for line in sys.stdin:
    job = json.loads(line)
    child = os.fork()
    if child:
        print(ended(child, time.monotonic() + job["longest"]), flush=True)
        continue
    os.setpgid(0, 0)
    nothing, said = os.open(os.devnull, os.O_RDONLY), os.open(job["said"], os.O_WRONLY)
    for number, file in enumerate((nothing, said, said)):
        os.dup2(file, number)
    faulthandler.enable()
    os.environ.clear()
    os.environ.update(job["environment"])
    os.chdir(job["folder"])
    sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.argv[1:] = job["arguments"]
    warnings.simplefilter(job["warnings"])
    code = 0
    try:
        exec(compile(job["code"], "<string>", "exec"), {"__name__": "__main__"})
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
"""


@cache
def _server(site: Path | None = None) -> subprocess.Popen[str]:
    """One a process of tests; it ends with it.

    With a site it has the packages of that folder alone, and warnings are errors.
    """
    environment = os.environ | NO_THREADS | {"PYTHONPATH": os.pathsep.join(sys.path)}
    options, start = [], ""
    if site:
        environment = without_ours(os.environ)
        options = ["-I", "-S", "-W", "error"]
        start = f"import sys; sys.path.insert(0, {str(site)!r})"
    server = subprocess.Popen(
        [sys.executable, *options, "-c", start + SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )
    atexit.register(server.kill)
    return server


def without_ours(variables: Mapping[str, str]) -> dict[str, str]:
    """An environment that says nothing to Python."""
    return {k: v for k, v in variables.items() if not k.startswith(("PYTHON", "COV"))}


def run_fresh(
    code: str,
    *arguments: object,
    warnings: str = "always",
    site: Path | None = None,
    **environment: str | None,
) -> str:
    """What code prints, errors too, in a process with torch and nothing of ours.

    Variables of the environment that are None are not set in it. With a site that folder holds all
    packages there are.
    """
    if not hasattr(os, "fork"):
        pytest.skip("processes are forked, which this system cannot")
    server = _server(site)
    assert server.stdin is not None
    assert server.stdout is not None
    start = without_ours(os.environ) if site else os.environ | NO_THREADS
    variables = {**start, **environment}
    with tempfile.NamedTemporaryFile("r") as said:
        job = {
            "code": code,
            "arguments": [str(one) for one in arguments],
            "environment": {name: value for name, value in variables.items() if value is not None},
            "folder": str(ROOT),
            "said": said.name,
            "warnings": warnings,
            "longest": _LONGEST,
        }
        server.stdin.write(json.dumps(job) + "\n")
        server.stdin.flush()
        done = server.stdout.readline()
        text = Path(said.name).read_text()
    what = "took too long" if done == "too long\n" else "failed, or its server"
    assert done == "0\n", f"the process {what}: {text}"
    return text


# The program's imports are made once. One that fails ends the other, which would wait for it.
SIDE_BY_SIDE = """
import os, runpy, signal, sys, traceback
program, *arguments = sys.argv[1:]
main = runpy.run_path(program)["main"]
children = []
for rank in range(2):
    children.append(os.fork())
    if not children[-1]:
        code = 1
        try:
            main(rank, *arguments)
            code = 0
        except BaseException:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code)
for _ in range(2):
    child, status = os.wait()
    children.remove(child)
    if status:
        for other in children:
            os.kill(other, signal.SIGKILL)
        sys.exit(f"a process ended with {os.waitstatus_to_exitcode(status)}")
"""


def run_side_by_side(program: Path, *arguments: object) -> None:
    """Two processes that meet: each calls the program's `main` with its rank and the arguments."""
    run_fresh(SIDE_BY_SIDE, program, *arguments)
