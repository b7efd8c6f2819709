"""What was found of all networks, as counts, a table and a file."""

import json
import re
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.zoo._checks import Result, outside
from tests.zoo._judge import Judged


def counts(results: list[Result]) -> dict[str, Any]:
    """The figures of the table in the documentation."""
    ran = [one for one in results if not one.skipped]
    with_selu = [one for one in ran if one.variances]
    without = [one for one in ran if one.without]
    return {
        "networks": len(ran),
        "packages": len({one.package for one in ran}),
        "skipped": len(results) - len(ran),
        "refused": sum(bool(one.refused) for one in ran),
        "crashed": sum(bool(one.crashed) for one in ran),
        "harm": sum(bool(one.harm) for one in ran),
        "with SELU": len(with_selu),
        "right with example": sum(not one.outside for one in with_selu),
        "with SELU, without example": len(without),
        "right without example": sum(not outside(one.without) for one in without),
        "SELUs": sum(len(one.variances) for one in with_selu),
        "SELUs right": sum(len(one.variances) - len(one.outside) for one in with_selu),
        "not right and named": sum(
            bool(one.outside) and set(one.outside) <= set(one.named) for one in with_selu
        ),
        "exported": dict(Counter(way for one in ran for way in one.ways_out)),
        "findings": dict(Counter(rule for one in ran for rule in one.findings)),
    }


def statement_counts(judged: list[Judged]) -> dict[str, Any]:
    """How many reports say something false, or give a fix that does not work."""
    ran = [one for one in judged if not one.skipped]
    reports = sum(len(one.findings) for one in ran)
    wrong = sum(len(one.wrong) for one in ran)
    return {
        "networks": len(ran),
        "packages": len({one.package for one in ran}),
        "crashed": sum(bool(one.crashed) for one in ran),
        "reports": reports,
        "findings": sum(sum(one.findings.values()) for one in ran),
        "findings that no check knows": sum(one.unheld for one in ran),
        "fixes that were followed": sum(one.followed for one in ran),
        "reports with a false statement": sum(bool(t) for one in ran for t in one.false.values()),
        "reports with a fix that fails": sum(bool(t) for one in ran for t in one.failing.values()),
        "reports with either": wrong,
        "share": round(wrong / max(reports, 1), 4),
    }


def told(one: Judged) -> str:
    """One network in one line, and what is false in its reports below it."""
    name = f"{one.package}: {one.name}"
    if one.skipped:
        return f"{name:<55} skipped: {one.skipped}"
    lines = [f"{name:<55} {len(one.wrong)}/{len(one.findings)} {one.seconds:5.0f} s"]
    if one.crashed:
        lines.append(f"    CRASHED {one.crashed}")
    for what, found in (("FALSE", one.false), ("FAILS", one.failing)):
        lines += [f"    {what} {when}: {text}" for when in found for text in found[when][:6]]
    return "\n".join(lines)


def failed(results: list[Result]) -> bool:
    """Whether anything crashed, or harm was done."""
    return any(one.crashed or one.harm for one in results)


def line(result: Result) -> str:
    """One network in one line, and what went wrong below it."""
    name = f"{result.package}: {result.name}"
    if result.skipped:
        return f"{name:<55} skipped: {result.skipped}"
    right = f"{len(result.variances) - len(result.outside)}/{len(result.variances)}"
    plain = f"{len(result.without) - len(outside(result.without))}/{len(result.without)}"
    found = ",".join(result.findings) or "-"
    lines = [f"{name:<55} {right:>7} {plain:>7} {result.seconds:5.0f} s  {found}"]
    lines += [f"    refused {how}: {why}" for how, why in result.refused.items()]
    lines += [f"    CRASHED {step}: {why}" for step, why in result.crashed.items()]
    lines += [f"    HARM {told}" for told in result.harm[:4]]
    return "\n".join(lines)


def summary(counted: dict[str, Any]) -> str:
    """The counts, one a line."""
    return "\n".join(f"{name:<32} {value}" for name, value in counted.items())


def write(result: Result | Judged, folder: Path) -> None:
    """What was found of one network, as JSON."""
    name = re.sub(r"[^\w.-]+", "-", f"{result.package}-{result.name}")
    _write(asdict(result), folder / f"{name}.json")


def read(folder: Path, kind: type[Any]) -> dict[str, Any]:
    """What was found before, by package and name."""
    found = [kind(**json.loads(file.read_text())) for file in sorted(folder.glob("*.json"))]
    return {f"{one.package}: {one.name}": one for one in found}


def write_all(counted: dict[str, Any], lines: list[str], file: Path) -> None:
    """The counts, and what each network is in one line."""
    _write({"counts": counted, "networks": lines}, file)


def _write(told: dict[str, Any], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".json.new")
    new.write_text(json.dumps(told, indent=1) + "\n")
    new.replace(file)
