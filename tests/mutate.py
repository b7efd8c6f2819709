"""Whether the tests see what they are there to see: each mutation must make its test fail.

`tests/mutations.toml` lists one-line changes, each with the tests that shall notice it. They are
applied to a copy of the tree, one at a time. Run by hand, since it takes minutes, with all of them
or with those whose file or test contains a word:

    python tests/mutate.py
    python tests/mutate.py training
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def passes(tree: Path, *tests: str) -> bool:
    """Whether the tests pass in a copy of the tree, which comes before the installed package."""
    command = [sys.executable, "-m", "pytest", "-xq", "-p", "no:cacheprovider", *tests]
    paths = os.pathsep.join([str(tree / "src"), str(tree / "tests"), str(tree)])
    environment = os.environ | {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, check=False)
    if done.returncode not in (0, 1):  # 1: tests failed; else they were not found, or did not run
        raise SystemExit(done.stdout.decode())
    return done.returncode == 0


def main(word: str = "") -> int:
    """Print a line for each mutation; how many were not seen."""
    listed = tomllib.loads((ROOT / "tests" / "mutations.toml").read_text())["mutation"]
    chosen = [one for one in listed if word in one["file"] or word in one["test"]]
    unseen = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        away = shutil.ignore_patterns(".*", "__pycache__", "site", "shared")
        shutil.copytree(ROOT, tree, ignore=away)
        if not passes(tree, *{test for one in chosen for test in one["test"].split()}):
            raise SystemExit("The tests must pass before anything is changed; they do not.")
        for one in chosen:
            path = tree / "src" / "selfnorm" / one["file"]
            before = path.read_text()
            if before.count(one["old"]) != 1:
                raise SystemExit(f"{one['file']} must hold once: {one['old']}. Bring the list up.")
            path.write_text(before.replace(one["old"], one["new"]))
            seen = not passes(tree, *one["test"].split())
            path.write_text(before)
            unseen += not seen
            print(  # noqa: T201 - a program
                "seen  " if seen else "UNSEEN",
                f"{one['file']}: {one['old']}  ->  {one['new']}",
                flush=True,
            )
    return unseen


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
