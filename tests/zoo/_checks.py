"""What is checked of one network: audit, conversion, and that the result works and did no harm."""

import contextlib
import copy
import io
import pickle
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from tests.zoo import _harm
from tests.zoo._network import Network
from tests.zoo._run import copied, evaluated, finite, loss_of, run, same, split
from torch import nn

import selfnorm
from selfnorm.converting import Changes
from selfnorm.errors import ArgumentError, UnsupportedError

RIGHT = (0.5, 2.0)  # variances of SELU that count as right
_SELUS = (nn.SELU, selfnorm.nn.SELUAlphaDropout)


@dataclass
class Result:
    """What was found of one network.

    Attributes:
        package: Of the network.
        name: Of the network.
        skipped: Why it was not judged, as it does not run itself; else "".
        refused: With and without example, what a conversion said that it cannot do.
        crashed: What raised, by step.
        harm: What a conversion did, and did not tell.
        variances: Of the SELUs, after a conversion with example.
        without: The same after one without.
        named: Of those outside, the SELUs that the list of changes names.
        findings: Rules of the findings of an audit of the result, with example.
        changes: How many of each kind, with example.
        ways_out: Which of pickle, export to torch and to ONNX the network has.
        reports: As printed: of the network, and of its conversion with example.
        seconds: What all took.
    """

    package: str
    name: str
    skipped: str = ""
    refused: dict[str, str] = field(default_factory=dict[str, str])
    crashed: dict[str, str] = field(default_factory=dict[str, str])
    harm: list[str] = field(default_factory=list[str])
    variances: dict[str, float] = field(default_factory=dict[str, float])
    without: dict[str, float] = field(default_factory=dict[str, float])
    named: list[str] = field(default_factory=list[str])
    findings: dict[str, int] = field(default_factory=dict[str, int])
    changes: dict[str, int] = field(default_factory=dict[str, int])
    ways_out: list[str] = field(default_factory=list[str])
    reports: dict[str, str] = field(default_factory=dict[str, str])
    seconds: float = 0.0

    @property
    def outside(self) -> list[str]:
        """Names of the SELUs that are not right, with example."""
        return outside(self.variances)


def outside(variances: dict[str, float]) -> list[str]:
    """Names of those that are not right."""
    low, high = RIGHT
    return [name for name, variance in variances.items() if not low <= variance <= high]


def check(network: Network, *, exports: bool = True) -> Result:
    """Everything, of one network."""
    start, result = time.perf_counter(), Result(network.package, network.name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        try:
            model, inputs = network.make()
            model.train()
            working = finite(run(model, inputs)) and finite(evaluated(model, inputs))
            result.skipped = "" if working else "it gives infinities or nan itself"
        except Exception as error:
            result.skipped = _told(error)
        if not result.skipped:
            _Checking(result, model, inputs, exports).all()
    result.seconds = time.perf_counter() - start
    return result


@dataclass
class _Checking:
    result: Result
    model: nn.Module
    inputs: Any
    exports: bool

    def all(self) -> None:
        before = _harm.state_of(self.model)
        self._step("audit", lambda: self._audited(self.model, "before"))
        self._untouched(before, "an audit")
        for how, example in (("without example", None), ("with example", self.inputs)):
            self._converted(how, example)
            self._untouched(before, "a conversion")
        for judge in (_harm.nothing_asked, _harm.trained):
            self._step(judge.__name__, lambda j=judge: self._complain(j(self.model, self.inputs)))

    def _converted(self, how: str, example: object) -> None:
        torch.manual_seed(0)
        try:
            new, changes = selfnorm.convert(self.model, example=example)
        except (UnsupportedError, ArgumentError) as error:
            self.result.refused[how] = _told(error)
            return
        except Exception as error:
            self.result.crashed[f"convert {how}"] = _told(error)
            return
        self._step(f"run {how}", lambda: self._runs(new))
        self._step(f"copies {how}", lambda: self._copies(new, changes))
        variances, ran = self._step(f"watch {how}", lambda: self._watched(new)) or ({}, set())
        if example is None:
            self.result.without = variances
        else:
            self.result.variances = variances
            self.result.changes = changes.counts()
            out = {name for name, _ in changes.checked.outside} if changes.checked else set()
            self.result.named = [
                n for n in outside(variances) if any(told.split(" (")[0] == n for told in out)
            ]
            self._step("audit of the result", lambda: self._audited(new, "after"))
            if self.exports:
                self._ways_out(new)
        self._complain(_harm.unnamed(self.model, new, changes, ran))
        if self._trains_itself:
            self._step(f"steps {how}", lambda: self._trains(new))

    def _runs(self, new: nn.Module) -> None:
        old, got = evaluated(self.model, self.inputs), evaluated(new, self.inputs)
        if [t.shape for t in old] != [t.shape for t in got]:
            raise AssertionError("its outputs have other shapes")
        if not finite(got):
            self.result.harm.append("its outputs are infinite or nan")

    def _watched(self, new: nn.Module) -> tuple[dict[str, float], set[str]]:
        return _harm.watched(copied(new), self.inputs, _SELUS)

    def _audited(self, model: nn.Module, when: str) -> None:
        report = selfnorm.audit(model, self.inputs)
        self.result.reports[when] = str(report)
        if when == "after":
            self.result.findings = dict(Counter(finding.rule for finding in report.findings))

    def _copies(self, new: nn.Module, changes: Changes) -> None:
        if not same(evaluated(new, self.inputs), evaluated(new, self.inputs)):
            return  # it goes on from what it keeps
        state, old = new.state_dict(), set(self.model.state_dict())
        if set(state) != old - set(changes.removed) | set(changes.added):
            self.result.harm.append("names of the state dict changed, and are not told")
        new.load_state_dict(copy.deepcopy(state))
        expected = evaluated(new, self.inputs)
        if not same(evaluated(copied(new), self.inputs), expected):
            raise AssertionError("a copy computes something else")
        if _pickles(self.model):
            again = pickle.loads(pickle.dumps(new))  # noqa: S301 - our own
            if not same(evaluated(again, self.inputs), expected):
                raise AssertionError("what is pickled computes something else")

    @cached_property
    def _trains_itself(self) -> bool:
        """Whether the network can be trained: some keep a graph from step to step."""
        try:
            self._trains(copied(self.model))
        except Exception:
            return False
        return True

    def _trains(self, new: nn.Module) -> None:
        new.train()
        optimizer = torch.optim.SGD([p for p in new.parameters() if p.requires_grad], 1e-3)
        for _ in range(3):
            optimizer.zero_grad()
            loss = loss_of(run(new, self.inputs))
            loss.backward()
            optimizer.step()
            if not loss.isfinite():
                raise AssertionError("the loss of a step is infinite or nan")

    def _ways_out(self, new: nn.Module) -> None:
        """Each way out that the network itself has, its conversion has."""
        for way, out in (("torch.export", _exported), ("ONNX", _onnx)):
            try:
                out(copied(self.model).eval(), self.inputs)
            except Exception:  # noqa: S112 - not every network can be exported
                continue
            self.result.ways_out.append(way)
            self._step(way, lambda out=out: out(selfnorm.deploy(new), self.inputs))

    def _untouched(self, before: dict[str, torch.Tensor], what: str) -> None:
        if names := _harm.touched(before, self.model):
            self.result.harm.append(f"{what} changed the model's {names[0]}")

    def _complain(self, complaints: Any) -> None:
        self.result.harm += [told for told in complaints if told not in self.result.harm]

    def _step(self, name: str, step: Callable[[], Any]) -> Any:
        try:
            return step()
        except Exception as error:
            self.result.crashed[name] = _told(error)
            return None


def _pickles(model: nn.Module) -> bool:
    try:
        pickle.loads(pickle.dumps(model))  # noqa: S301 - our own
    except Exception:
        return False
    return True


def _exported(model: nn.Module, inputs: Any) -> None:
    args, kwargs = split(inputs)
    with torch.no_grad():
        torch.export.export(model, args, kwargs)


def _onnx(model: nn.Module, inputs: Any) -> None:
    args, kwargs = split(inputs)
    with torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):  # it prints what it refuses
        torch.onnx.export(model, args, io.BytesIO(), kwargs=kwargs, dynamo=False, verbose=False)


def _told(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = "" if place is None else f" [{place.tb_frame.f_code.co_name}:{place.tb_lineno}]"
    return f"{type(error).__name__}: {lines[0][:160]}{where}"
