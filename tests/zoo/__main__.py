"""Audit and convert every network of the zoo, and write down what was found: `make zoo`.

What was found of a network is kept, so that a run that was stopped goes on where it was.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import torch
from tests.zoo import _counts, _torchvision
from tests.zoo._checks import Result, check
from tests.zoo._network import Network
from tests.zoo.networks import NETWORKS


def main() -> int:
    """The exit code: 0 if nothing crashed and no harm was done."""
    parser = argparse.ArgumentParser(prog="python -m tests.zoo", description=__doc__)
    parser.add_argument("names", nargs="*", help="packages, or parts of names; all if none")
    parser.add_argument("--output", type=Path, default=Path("build/zoo"), help="folder of results")
    parser.add_argument("--processes", type=int, default=2, help="how many run side by side")
    parser.add_argument("--no-exports", action="store_true", help="leave exports out")
    parser.add_argument("--again", action="store_true", help="also what was found before")
    asked = parser.parse_args()
    chosen = [n for n in NETWORKS if not asked.names or any(s in str(n) for s in asked.names)]
    known = {} if asked.again else _counts.read(asked.output)
    results = [known[str(network)] for network in chosen if str(network) in known]
    waiting = [network for network in chosen if str(network) not in known]
    with ProcessPoolExecutor(asked.processes, initializer=_prepare) as pool:
        checked = [pool.submit(_checked, n, not asked.no_exports) for n in waiting]
        for done in as_completed(checked):
            results.append(done.result())
            _counts.write(results[-1], asked.output)
            sys.stdout.write(_counts.line(results[-1]) + "\n")
            sys.stdout.flush()
    _counts.write_all(results, asked.output)
    sys.stdout.write(_counts.summary(results) + "\n")
    return int(_counts.failed(results))


def _prepare() -> None:
    torch.set_num_threads(1)
    _torchvision.declare_operators()


def _checked(network: Network, exports: bool) -> Result:
    return check(network, exports=exports)


if __name__ == "__main__":
    sys.exit(main())
