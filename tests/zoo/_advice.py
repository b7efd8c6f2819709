"""What a report advises is done, on a copy of that very network; then its finding must be gone."""

import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from tests.zoo._run import copied, run
from torch import Tensor, nn

import selfnorm
from selfnorm.auditing import Finding, Report

_CALL = re.compile(r"selfnorm\.[\w.]+\(model(?:[^()]|\([^()]*\))*\)")
_LIKEWISE, _GIVEN = re.compile(r"likewise ([\w., ]+?):"), re.compile(r"get_parameter\('.*?'\)")
_POINTS = re.compile(r"^(?:Mend|See the finding) ([\w-]+)")
_POINTING = ("Look at ", "See the ")
Match = re.Match[str]


class Done(NamedTuple):
    """A network after what was advised.

    Attributes:
        model: The network.
        inputs: What it is given then.
        left: Names that a conversion says it left.
    """

    model: nn.Module
    inputs: Any
    left: frozenset[str] = frozenset()


@dataclass
class Advice:
    """Follows a report's fixes, each way once.

    Attributes:
        model: The network.
        inputs: What it was given.
        report: What was said.
        done: How many findings' fixes could be followed by a machine.
    """

    model: nn.Module
    inputs: Any
    report: Report
    done: int = 0
    _audits: dict[str, dict[int, "_After"]] = field(default_factory=dict[str, Any])

    def failing(self) -> Iterator[str]:
        """Fixes of errors and warnings that do not mend what they are about."""
        for finding in self.report.findings:
            if finding.severity == "note":
                continue
            if pointed := _POINTS.match(finding.fix):
                self.done += 1
                if not any(one.rule == pointed[1] for one in self.report.findings):
                    yield f"{finding.rule} in {finding.module}: {finding.fix} There is none"
                continue
            after = self._after(finding)
            if after is None:
                continue
            self.done += 1
            if isinstance(after, str):
                yield f"{finding.rule} in {finding.module}: {finding.fix} raises {after}"
            elif not self._is_gone(finding, *after):
                yield f"{finding.rule} in {finding.module}: {finding.fix} It stays"

    def _is_gone(self, finding: Finding, report: Report, done: Done) -> bool:
        about, whats = set(finding.covers or (finding.module,)), {"", _what(finding)}
        for one in report.findings:
            same = one.rule == finding.rule and one.severity != "note" and _what(one) in whats
            if same and (about & set(one.covers or (one.module,))) and not about & done.left:
                return any(name and name in left for name in about for left in done.left if left)
        return True

    def _after(self, finding: Finding) -> "_After | None":
        """What an audit says after a fix; None if only a person can follow it."""
        way = _way(finding)
        if way is None:
            return None
        if way in _EACH:  # a report tells it once, for all modules
            key = f"{finding.rule}: {way.__name__}"
            alike = [f for f in self.report.findings if f.rule == finding.rule and _way(f) is way]
        else:
            one = "get_parameter" in finding.fix or way is Advice._old
            key, alike = f"{finding.fix} {finding.module if one else ''}", [finding]
        if key not in self._audits:
            self._audits[key] = self._audited(way, alike)
        return self._audits[key].get(alike.index(finding))

    def _audited(self, way: "_Way", alike: list[Finding]) -> dict[int, "_After"]:
        """The same, once all of some findings were mended in one copy; by their numbers."""
        torch.manual_seed(0)
        model, done = copied(self.model), dict[int, Done]()
        try:
            for number, finding in enumerate(alike):
                made = way(self, model, finding, _match(finding))
                if made is not None:
                    done[number] = made
            if not done:
                return {}
            last = next(reversed(done.values()))
            report = selfnorm.audit(last.model, last.inputs)
        except Exception as error:
            told = f"{type(error).__name__}: {str(error)[:120]}"
            return dict.fromkeys(range(len(alike)), told)
        return {number: (report, made) for number, made in done.items()}

    def _by_hand(self, _model: nn.Module, _finding: Finding, _found: Match) -> Done | None:
        """What a person has to do."""
        return None

    def _as_written(self, model: nn.Module, finding: Finding, found: Match) -> Done | None:
        line, likewise = found[0], _LIKEWISE.search(finding.fix)
        others = likewise[1].split(", ") if likewise else []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for one in (line, *(_GIVEN.sub(f"get_parameter({name!r})", line) for name in others)):
                names = {
                    "selfnorm": selfnorm, "model": model, "report": self.report,
                    "inputs": self.inputs,
                }  # fmt: skip
                made = eval(one, names)  # noqa: S307 - the advice
        if isinstance(made, tuple):
            new, changes = made
            left = {change.module for change in changes if change.kind in {"left", "note"}}
            return Done(new, self.inputs, frozenset(left))
        return Done(model, self.inputs)

    def _old(self, model: nn.Module, finding: Finding, found: Match) -> Done | None:
        for name in finding.covers or (finding.module,):
            getattr(nn.utils, found[1])(model.get_submodule(name))
        return Done(selfnorm.init.initialize_(model), self.inputs)

    def _lowered(self, model: nn.Module, _finding: Finding, found: Match) -> Done | None:
        for module in model.modules():
            if "Dropout" in type(module).__name__ and hasattr(module, "p"):
                module.p = min(float(module.p), float(found[1]))  # pyright: ignore
        return Done(model, self.inputs)

    def _standardized(self, _model: nn.Module, finding: Finding, _found: Match) -> Done | None:
        reads = [f for f in self.report.recording.features
                 if self.report.layers[f.reader].module == finding.module]  # fmt: skip
        widths = {len(f.means) for f in reads}

        def standard(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: standard(one) for key, one in value.items()}
            if isinstance(value, list | tuple):
                return type(value)(standard(one) for one in value)
            if not isinstance(value, Tensor) or not value.is_floating_point() or value.ndim < 2:
                return value
            dim = 1 if value.ndim > 2 and value.shape[1] in widths else value.ndim - 1
            layer = selfnorm.nn.Standardize(value.shape[dim], dim=dim)
            return layer.fit(value)(value)

        return Done(copied(self.model), standard(self.inputs)) if reads else None

    def _standardized_inside(self, model: nn.Module, _f: Finding, found: Match) -> Done | None:
        if not _is_leaf(model, found[1]):
            return None
        read: list[Tensor] = []
        module = model.get_submodule(found[1])
        seen = module.register_forward_pre_hook(lambda _m, given: read.append(given[0]))
        with torch.no_grad():
            run(model, self.inputs)
        seen.remove()
        dim = 1 if "Conv" in type(module).__name__ else read[0].ndim - 1
        layer = selfnorm.nn.Standardize(read[0].shape[dim], dim=dim).fit(read[0].detach())
        module.register_forward_pre_hook(lambda _m, given: (layer(given[0]), *given[1:]))
        return Done(model, self.inputs)

    def _selu(self, model: nn.Module, finding: Finding, _found: Match) -> Done | None:
        return self._exchanged(model, finding.module, selfnorm.nn.SELU())

    def _without(self, model: nn.Module, finding: Finding, found: Match) -> Done | None:
        name = finding.module if found[1] == "it" else found[1]
        return self._exchanged(model, name, nn.Identity())

    def _exchanged(self, model: nn.Module, name: str, new: nn.Module) -> Done | None:
        if "(" in name or not _is_leaf(model, name):
            return None
        _set(model, name, new)
        return Done(model, self.inputs)

    def _between(self, model: nn.Module, finding: Finding, found: Match) -> Done | None:
        if found[1] != finding.module or not _is_leaf(model, finding.module):
            return None
        model.get_submodule(finding.module).register_forward_hook(
            lambda _m, _a, output: nn.functional.selu(output)
        )
        return Done(model, self.inputs)

    def _alpha(self, model: nn.Module, finding: Finding, found: Match) -> Done | None:
        p = float(found[1])
        if not _is_leaf(model, finding.module):
            return None
        if "behind" in finding.seen:
            _set(model, finding.module, selfnorm.nn.AlphaDropout(p))
            return Done(model, self.inputs)
        recording = self.report.recording
        layer = next(one for one in self.report.layers if one.module == finding.module)
        selu = next(one for one in recording.followers(layer) if one.activation == "selu")
        if not _is_leaf(model, selu.module):
            return None
        _set(model, finding.module, nn.Identity())
        _set(model, selu.module, selfnorm.nn.SELUAlphaDropout(p))
        return Done(model, self.inputs)

    def _scaled(self, model: nn.Module, finding: Finding, found: Match) -> Done | None:
        factor = float(found[1].rstrip(".,"))
        alike = [f for f in self.report.findings if f.rule == finding.rule]
        once = sum(f.module == finding.module for f in alike) == 1  # else each use has its factor
        known = once and finding.rule in {"embedding-variance", "aggregation"}
        if not known or not _is_leaf(model, finding.module):
            return None
        model.get_submodule(finding.module).register_forward_hook(
            lambda _m, _a, output: output * factor
        )
        return Done(model, self.inputs)

    def _reflected(self, model: nn.Module, finding: Finding, _found: Match) -> Done | None:
        module = model.get_submodule(finding.module)
        if not isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            return None
        module.padding_mode = "circular"
        return Done(model, self.inputs)


_After = tuple[Report, Done] | str
_Way = Callable[[Advice, nn.Module, Finding, Match], Done | None]
_WAYS: dict[str, _Way] = {
    r"^Subtract the mean|^Standardize (?:every|the)": Advice._standardized,
    r"^selfnorm\.nn\.Standardize in front of (\S+):": Advice._standardized_inside,
    r"^torch\.nn\.utils\.(remove_\w+)\(layer\), then": Advice._old,
    r"^Multiply by [\d.e+-]+ what the forward makes|^Take .* off these": Advice._by_hand,
    r"^Multiply (?:it|what \S+ gives) by ([\d.e+-]+)": Advice._scaled,
    r"^selfnorm\.nn\.SELU\(\) in (?:place of|its place)": Advice._selu,
    r"^selfnorm\.nn\.SELUAlphaDropout\(([\d.]+)\)": Advice._alpha,
    r"^Take (\S+) out": Advice._without,
    r"^Put selfnorm.nn.SELU\(\) between (\S+) and": Advice._between,
    r"^Lower p to ([\d.]+),": Advice._lowered,
    r"^padding_mode='circular'": Advice._reflected,
    r"^(?:Drop|Leave|Begin)": Advice._by_hand,
    _CALL.pattern: Advice._as_written,
}
"""By the words of a fix, how a machine follows it; the first counts."""


_EACH = {
    Advice._scaled, Advice._selu, Advice._alpha, Advice._without, Advice._between,
    Advice._reflected, Advice._standardized_inside,
}  # fmt: skip
"""Those that are done to one module."""


def _way(finding: Finding) -> _Way | None:
    if finding.fix.startswith(_POINTING):
        return None
    return next((way for words, way in _WAYS.items() if re.search(words, finding.fix)), None)


def _match(finding: Finding) -> Match:
    return next(found for words in _WAYS if (found := re.search(words, finding.fix)))


def _what(finding: Finding) -> str:
    """The weight that a finding is about; a module may have several."""
    found = re.match(r"(\S+) has tau", finding.seen)
    return found[1] if found else ""


def _is_leaf(model: nn.Module, name: str) -> bool:
    try:
        return bool(name) and not any(model.get_submodule(name).children())
    except AttributeError:
        return False


def _set(model: nn.Module, name: str, new: nn.Module) -> None:
    owner, _, last = name.rpartition(".")
    parent = model.get_submodule(owner)
    setattr(parent, last, new)  # also of a sequence, whose parts have numbers for names
