"""Run every benchmark, each in a process of its own, and put the figures into the page."""

import argparse
import subprocess
import sys
import tempfile

NAMES = (
    "polynomials",
    "startup",
    "memory",
    "ops",
    "forms",
    "jaxed",
    "jaxed_accuracy",
    "training",
    "network",
    "compiled",
    "stress",
    "gpu",
    "audit",
    "monitor",
    "false_alarms",
    "trained_alarms",
    "accuracy",
    "derivatives",
    "keep",
    "depth",
    "plain",
    "scaling",
    "fuzz",
)


def main() -> int:
    """The exit code: 0 if all ran."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="see that they run; write nothing")
    quick = parser.parse_args().quick
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            command = [sys.executable, "-m", f"benchmarks.{name}"]
            command += ["--quick", "--results", folder] if quick else []
            if subprocess.run(command, check=False).returncode:
                failed.append(name)
    if not quick:
        subprocess.run([sys.executable, "-m", "benchmarks.table"], check=True)
    if failed:
        print(f"These failed: {', '.join(failed)}.")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
