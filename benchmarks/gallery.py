"""Train the networks of each example over several seeds; figures into docs/examples.md.

Learning rates were found with seed 0, which is not among them. Pictures are drawn by the examples
themselves: `python examples/autoencoder.py --output docs/figures`.
"""

import argparse
import importlib
import json
import statistics
import time
from typing import Any

from benchmarks import table
from benchmarks._harness import RESULTS, machine

NAMES = (
    "deep_convolutions",
    "autoencoder",
    "adversarial",
    "cartpole",
    "recurrent",
    "flow_matching",
    "survival",
)


def measured(name: str, seeds: int) -> dict[str, Any]:
    """The table of an example: a row a network."""
    example = importlib.import_module(f"examples.{name}")
    began = time.process_time()
    runs = [example.compare(seed) for seed in range(1, seeds + 1)]
    seconds = (time.process_time() - began) / seeds
    title = (
        f"Seeds 1 to {seeds}, mean and standard deviation; variances from the lowest layer of any "
        f"seed to the highest; {seconds:.0f} s of processor time a seed:"
    )
    head = ["network", example.MEASURE, "variance after training", "audit after training"]
    rows = [_row(list(of_one)) for of_one in zip(*runs, strict=True)]
    return {"machine": machine(), "tables": [{"title": title, "head": head, "rows": rows}]}


def _row(runs: list[Any]) -> list[str]:
    scores = [run.score for run in runs]
    deviation = statistics.stdev(scores) if len(scores) > 1 else 0.0
    score = f"{statistics.mean(scores):.3g} +- {deviation:.1g}"
    variances = [variance for run in runs for variance in run.variances]
    if not variances:
        return [runs[0].name, score, "", ""]
    ends = f"{min(variances):.2g} to {max(variances):.2g}"
    return [runs[0].name, score, ends, _audits([run.report for run in runs])]


def _audits(reports: list[Any]) -> str:
    """In how many seeds it is self-normalizing, and which rules say that it is not in others."""
    if all("wrong-activation" in {f.rule for f in report.findings} for report in reports):
        return "no SELU"
    rules: dict[str, None] = {}
    for report in reports:
        rules.update({f.rule: None for f in report.findings if f.severity != "note"})
    told = f"; {', '.join(rules)}" if rules else ""
    return f"right in {sum(report.ok for report in reports)} of {len(reports)}{told}"


def main() -> None:
    """Measure; write results and page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gallery", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", choices=NAMES, help="one example alone")
    options = parser.parse_args()
    for name in [options.only] if options.only else NAMES:
        result = measured(name, options.seeds)
        (RESULTS / f"example_{name}.json").write_text(json.dumps(result, indent=2) + "\n")
        print(table.tables(result), flush=True)
    table.main()


if __name__ == "__main__":
    main()
