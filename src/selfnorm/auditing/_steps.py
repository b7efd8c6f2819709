"""What to do, from the fixes of findings: each step once, and what one line does in one step."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from selfnorm.auditing._finding import Finding
from selfnorm.auditing._groups import Group, groups

_CONVERT = re.compile(r"selfnorm\.(?:keras\.)?convert\(model")
_DRAW = re.compile(r"selfnorm\.(?:init\.initialize_|keras\.initialize)\(model\)")
_BY_NAME, _ONE = "selfnorm.init.initialize_(model, fan_in", "selfnorm.init.lecun_normal_(model.get_"
_SIZED = "selfnorm.convert(model, example=inputs)"
_ELSE_LEAVE = "; else leave"
_NAMES = 60  # columns for the names of modules
_APART = 3  # ways to mend the findings of one rule that are told apart
POINTING = ("See the ", "Mend ", "Look at ")  # words of a fix that is another finding's
_FIRST = ("non-finite",)  # without which nothing else can be judged
_CONVERTED: Mapping[str, str] = {
    "wrong-activation": "SELU for {}",
    "leftover-normalization": "normalizations folded or taken out",
    "plain-dropout": "alpha dropout",
    "unscaled-residual": "sums of branches times 0.5 ** 0.5",
}
"""What a conversion does about the findings of a rule."""


@dataclass(frozen=True)
class Step:
    """One thing to do.

    Attributes:
        text: What to do; a line that works, where there is one.
        mended: What it mends.
        draws: Whether all weights are drawn by the way.
    """

    text: str
    mended: tuple[Group, ...]
    draws: bool = False


def steps(findings: Sequence[Finding]) -> list[Step]:
    """What to do about errors and warnings, each once, in the order of causes before effects.

    What only points to another finding is left out where there is one, and what a conversion that
    is advised anyway does as well is a part of it.
    """
    told = (group for group in groups(findings) if group.first.severity != "note")
    bad = [part for group in told for part in _parts(group)]
    bad.sort(key=lambda group: group.first.rule not in _FIRST)
    converted = _converted(bad)
    fixes: dict[str, Step] = {}
    for group in bad:
        if group in converted:
            fixes.setdefault("", _conversion(converted))
            continue
        fix = _for_all(group)
        if converted and _ELSE_LEAVE in fix:  # a conversion takes out what can be taken out
            fix = f"Leave{fix.partition(_ELSE_LEAVE)[2]}"
        call = fix.split(")")[0]
        before = fixes[call].mended if call in fixes else ()
        text = fixes[call].text if call in fixes else fix
        fixes[call] = Step(text, (*before, group), draws=bool(_DRAW.match(text)))
    if any(call.startswith(_BY_NAME) for call in fixes):  # it draws all of them
        less = [c for c in fixes if c.startswith(_ONE) or _DRAW.fullmatch(f"{c})")]
        fixes = {call: fix for call, fix in fixes.items() if call not in less}
    said = list(fixes.values())
    texts = [step.text for step in said]
    parts = {one for one in texts for other in texts if one != other and one.rstrip(".") in other}
    direct = [s for s in said if not s.text.startswith(POINTING) and s.text not in parts]
    return direct or said


def actions(findings: Sequence[Finding]) -> list[str]:
    """The steps in words."""
    return [step.text for step in steps(findings)]


def number_of(group: Group, done: Sequence[Step]) -> int | None:
    """The number, from 1, of the step that mends what a group is about; None if none is known."""
    pointed = re.match(r"Mend ([\w-]+)", group.first.fix)
    for number, step in enumerate(done, 1):
        rules = {one.first.rule for one in step.mended}
        is_part = group.first.fix.rstrip(".") in step.text
        is_meant = any(group.first in one.findings for one in step.mended)
        if is_meant or is_part or (pointed and pointed[1] in rules):
            return number
    if not _DRAW.match(group.first.fix) and not group.first.fix.startswith(_ONE):
        return None
    drawn = (n for n, step in enumerate(done, 1) if step.text.startswith(_BY_NAME) or step.draws)
    return next(drawn, None)


def _parts(group: Group) -> list[Group]:
    """Its findings by what is to do about them, whatever names and numbers are."""
    found: dict[str, list[Finding]] = {}
    for finding in group.findings:
        of = re.sub(rf"(?<![\w.]){re.escape(finding.module or '#')}(?!\w)", "#", finding.fix)
        found.setdefault(re.sub(r"\S*\d\S*", "#", of), []).append(finding)
    parts = [Group(tuple(members)) for members in found.values()]
    return parts if len(parts) <= _APART else [group]


def _converted(bad: Sequence[Group]) -> list[Group]:
    """The groups that one conversion mends; none if no finding asks for one."""
    sized = any(_SIZED in group.first.fix for group in bad) and any(map(_draws, bad))
    if not sized and not any(map(_asks_for_conversion, bad)):
        return []
    drawn = not any(group.first.fix.startswith(_BY_NAME) for group in bad)
    return [
        group
        for group in bad
        if _asks_for_conversion(group)
        or group.first.rule in {"plain-dropout", "unscaled-residual"}
        or (group.first.rule, group.first.severity) == ("alpha-dropout-misplaced", "error")
        or (drawn and _draws(group))
        or (drawn and _SIZED in group.first.fix)
    ]


def _asks_for_conversion(group: Group) -> bool:
    """Whether its fix is a conversion, and not in a `forward` alone."""
    fix = group.first.fix
    return bool(_CONVERT.match(fix)) and _ELSE_LEAVE not in fix


def _draws(group: Group) -> bool:
    """Whether its fix is to draw all weights, whatever else may be done."""
    return bool(_DRAW.match(group.first.fix))


def _conversion(converted: Sequence[Group]) -> Step:
    """The line, and what it does."""
    rules = {group.first.rule for group in converted}
    bent = (
        f.seen.split()[0] for g in converted for f in g.findings if "activation" in g.first.rule
    )
    others = ", ".join(dict.fromkeys(bent))
    does = [says.format(others) for rule, says in _CONVERTED.items() if rule in rules]
    drawn = "wrong-activation" in rules or any(map(_draws, converted))
    sized = any(_SIZED in group.first.fix for group in converted)
    by = " sized by what they read" if sized else ""
    does.append(f"LeCun's weights{by}" if drawn else "weights kept")
    calls = (_CONVERT.search(group.first.fix) for group in converted)
    call = next(found[0] for found in calls if found)
    given = ", example=inputs" if sized else "" if drawn else ", init=None"
    when = ", before training" if drawn else ""
    text = (
        f"model, changes = {call}{given}){when}: {', '.join(does)}. print(changes) names what it "
        "left."
    )
    return Step(text, tuple(converted), draws=drawn)


def _for_all(group: Group) -> str:
    """The first finding's fix, and of which others it is true, if it names the first's module."""
    first, (_, *others) = group.first, group.modules
    if len({finding.fix for finding in group.findings}) > 1 and first.rule == "plain-dropout":
        return re.sub(r"\([\d.]+\)", "(p)", first.fix)
    if not others or not first.module or first.module not in re.split(r"[,;:.]? |\.$", first.fix):
        return first.fix
    named = [name for name, end in zip(others, _ends(others), strict=True) if end <= _NAMES]
    left = len(others) - len(named)
    more = [f"{left} more{'' if named else ' places'}"] if left else []
    listed = [", ".join(named)] if named else []
    return f"{first.fix} Likewise {' and '.join(listed + more)}."


def _ends(names: Sequence[str]) -> list[int]:
    """Where each ends if they stand in a row."""
    return list(itertools.accumulate(len(name) + 2 for name in names))
