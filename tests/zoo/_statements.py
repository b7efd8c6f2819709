"""What a report says, held against what was seen by other means: each complaint is a false one.

A figure that a finding gives must be that of a call seen there; a cause that is named must be the
true one. No network of the zoo was ever trained, so that no word about training is true.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from tests.zoo._named import is_so
from tests.zoo._origins import Origin
from tests.zoo._witness import Event, Values, Witness, free_path, reaches
from torch import Tensor, nn
from torch.nn import functional

from selfnorm.auditing import Finding, Report

_N = r"([+-]?\d[\d,]*\.?\d*(?:e[+-]?\d+)?|inf|nan)"
_CUT_OUT = r", of which (\d+)% were set to 0 \(pruned, masked, sparse\)"
_FEW_NUMBERS = 2_000
_WEIGHS = re.compile(r"linear|conv|matmul|mm|bilinear|attention|lstm|gru|rnn|einsum")


@dataclass
class Statements:
    """Judges one report.

    Attributes:
        model: The network.
        inputs: What it was given.
        report: What was said.
        seen: What was seen of one pass.
        origins: How parameters were drawn, as far as that was seen.
    """

    model: nn.Module
    inputs: Any
    report: Report
    seen: Witness
    origins: dict[str, Origin]

    def false(self) -> Iterator[str]:
        """What is not so, in words that name the finding."""
        yield from (f"verdict: {told}" for told in self._verdict())
        yield from (f"table: {told}" for told in self._table())
        for finding in self.report.findings:
            for told in self._of(finding):
                yield f"{finding.rule} in {finding.module or 'model'}: {told}"

    @property
    def unheld(self) -> int:
        """How many findings no check here knows."""
        return sum(finding.rule not in _CHECKS for finding in self.report.findings)

    def _of(self, finding: Finding) -> Iterator[str]:
        text = f"{finding.seen} {finding.why}"
        if re.search(r"shrunk, as by|grown, as by|Placed: alignment", text):
            yield "training is named, and nothing was trained"
        if check := _CHECKS.get(finding.rule):
            yield from check(self, finding)

    def _verdict(self) -> Iterator[str]:
        said = str(self.report).splitlines()[1]
        if found := re.search(r"it has (.*?);", said):
            for part in found[1].split(", "):
                count, name = part.split(" ")
                if int(count) > 2 * len(self.seen.functions(name)) and not self._by_hand(name):
                    yield f"{part}, and {len(self.seen.functions(name))} were called"
        selus = self._selus()
        if said.startswith("Self-normalizing") and self.report.recording.rows >= 16:
            seen = [(event.path, event.made.variance) for event in selus if event.made]
            for path, variance in [pair for pair in seen if not 0.25 < pair[1] < 4][:1]:
                yield f"self-normalizing, and a SELU of {path} has {variance:.3g}"

    def _by_hand(self, name: str) -> bool:
        return any(
            one.activation == name and one.settings.get("by_hand") for one in self.report.layers
        )

    def _selus(self) -> list[Event]:
        return [e for e in self.seen.events if e.name.startswith("selu")]

    def _table(self) -> Iterator[str]:
        """Mean and variance of layers that are modules, at their first use."""
        for layer in self.report.layers:
            event = self.seen.module(layer.module)
            alone = (
                layer.use == 1
                and layer.name == layer.module
                and layer.kind == (event or layer).kind
            )
            if event is None or not alone or event.made is None or event.made.shape != layer.shape:
                continue
            near = _is_near(event.made, layer.mean, layer.variance)
            if not near and math.isfinite(layer.variance):
                yield f"{layer.name} has {event.made.variance:.4g}, not {layer.variance:.4g}"

    # What checks ask

    def made(self, path: str, mean: float | None, variance: float) -> bool:
        """Whether anything that a module, or a function in it, gave or read has these moments."""
        return any(
            _is_near(values, mean, variance)
            for event in self.seen.at(path)
            for values in (*event.given, *([event.made] if event.made else []))
        )

    def square(self, size: float, path: str | None = None) -> bool:
        """Whether anything has this second moment, in its three digits."""
        events = self.seen.events if path is None else self.seen.at(path)
        return any(
            math.isclose(values.second_moment, size, rel_tol=0.02)
            for event in events
            for values in (*event.given, *([event.made] if event.made else []))
        )

    def called(self, path: str, kind: str) -> bool:
        """Whether a module of this class, or a function of this name, ran there."""
        name = kind.removesuffix("()")
        return any(
            event.kind == name or event.name in {name, f"r{name}", f"i{name}"}
            for event in self.seen.at(path)
        )

    def parameter(self, name: str) -> Tensor | None:
        try:
            return self.model.get_parameter(name)
        except (AttributeError, ValueError):
            owner, _, last = name.rpartition(".")
            try:
                found = getattr(self.model.get_submodule(owner), last, None)
            except AttributeError:
                return None
            return found if isinstance(found, Tensor) else None


Check = Callable[[Statements, Finding], Iterator[str]]


def _moments(words: str) -> Check:
    """Mean and variance as the finding gives them are those of a call there."""
    pattern = re.compile(words.replace("MEAN", f"mean {_N}").replace("VARIANCE", f"variance {_N}"))

    def check(of: Statements, finding: Finding) -> Iterator[str]:
        found = pattern.search(finding.seen)
        if found is None:
            yield f"cannot be read: {finding.seen}"
            return
        numbers = [_number(one) for one in found.groups()]
        mean, variance = numbers if len(numbers) == 2 else (None, numbers[0])
        if math.isfinite(variance) and not of.made(finding.module, mean, variance):
            yield f"nothing there has {found[0]}"

    return check


def _inputs(of: Statements, finding: Finding) -> Iterator[str]:
    low, high = (
        _number(one) for one in re.search(f"values from {_N} to {_N};", finding.seen).groups()
    )  # pyright: ignore
    yield from _moments("MEAN, VARIANCE")(of, finding)
    given = _leaves(of.inputs)
    if not any(_holds(one, low) and _holds(one, high) for one in given):
        yield f"no input has values from {low:.4g} to {high:.4g}"
    if "scaled to [0, 1]" in finding.seen and not (low >= 0 and high <= 1.001):
        yield "not in [0, 1]"


def _weights(of: Statements, finding: Finding) -> Iterator[str]:
    found = re.match(rf"(\S+) has (?:tau = {_N}|mean)", finding.seen)
    if found is None or (weight := of.parameter(found[1])) is None:
        yield f"there is no {found[1] if found else finding.seen}"
        return
    fan = re.search(r"variance 1/(\d+)", finding.expected)
    if fan is None:
        return
    own = float(weight.detach().double().square().mean())
    used = _used_size(of, finding.module, weight) or own
    fan_in = int(fan[1])
    if told := _wrong_tau(of, finding, weight, used * fan_in, _number(found[2])):
        yield f"{found[1]} has {told}"
    if share := re.search(_CUT_OUT, finding.seen):
        zeros = float((weight == 0).double().mean()) or 1 - used / own
        if abs(zeros - int(share[1]) / 100) > 0.06:
            yield f"{found[1]} has {zeros:.0%} of it set to 0"
    claim = re.search("initialized by (.*)$", finding.seen)
    about = found[1], weight, fan_in
    if claim and not _is_claimed(of, finding, re.sub(_CUT_OUT, "", claim[1]), about):
        origin = of.origins.get(found[1])
        yield f"{found[1]} is not {claim[1]}: deviation {own**0.5:.4g}, {origin}"


def _wrong_tau(
    of: Statements, finding: Finding, weight: Tensor, expected: float, tau: float
) -> str:
    """What tau is, if a finding has another; "" where that is not known."""
    if behind := re.search(rf"with the factor {_N} behind it", finding.seen):
        tau /= _number(behind[1]) ** 2
    computed = "forward" in finding.fix or not isinstance(weight, nn.Parameter)
    phases = isinstance(of.model.get_submodule(finding.module), nn.modules.conv._ConvTransposeNd)
    near = math.isclose(expected, tau, rel_tol=0.03)
    return "" if computed or phases or near else f"{expected:.3g} for tau = {tau:.3g}"


def _is_claimed(
    of: Statements, finding: Finding, claim: str, about: tuple[str, Tensor, int]
) -> bool:
    """Whether one of the origins that are named is the true one."""
    name, weight, fan_in = about
    claims = claim.split(", or by ")
    if claims[0].startswith("the forward that computes it"):
        return _computes(of, finding.module, weight)
    if claims[-1].startswith("another: "):
        return weight.numel() < _FEW_NUMBERS
    owner = of.model.get_submodule(name.rpartition(".")[0])
    return any(is_so(one, weight, fan_in, of.origins.get(name), owner) for one in claims)


def _used_size(of: Statements, path: str, weight: Tensor) -> float | None:
    """The mean square of what a function there was given as a weight: of those of its shape.

    Rows may have that shape as well; so it is the one that is nearest in size.
    """
    found = [
        values.second_moment
        for event in of.seen.at(path)
        if event.name and _WEIGHS.search(event.name)
        for values in event.given
        if values.shape == tuple(weight.shape)
    ]
    own = float(weight.detach().double().square().mean())
    return min(found, key=lambda size: abs(size - own), default=None)


def _computes(of: Statements, path: str, weight: Tensor) -> bool:
    """Whether a function there was given a tensor of a weight's shape, and of another size."""
    size = float(weight.detach().double().square().mean())
    return any(
        values.shape == tuple(weight.shape)
        and not math.isclose(values.second_moment, size, rel_tol=0.01)
        for event in of.seen.at(path)
        if event.name
        for values in event.given
    )


def _selu_weights(of: Statements, finding: Finding) -> Iterator[str]:
    wrong, every = (int(n) for n in re.match(r"(\d+) of (\d+) weights", finding.seen).groups())  # pyright: ignore
    if wrong > every or not of.seen.functions(*{e.name for e in of._selus()}):
        yield "no SELU was called"


def _activation(of: Statements, finding: Finding) -> Iterator[str]:
    yield from _moments("MEAN and VARIANCE")(of, finding)
    name = finding.seen.split(" ")[0]
    layers = [
        one for one in of.report.layers if one.module == finding.module and one.activation == name
    ]
    by_hand = any(one.settings.get("by_hand") for one in layers)
    if (
        not of.called(finding.module, name)
        and not by_hand
        and not any(name in event.name for event in of.seen.at(finding.module))
    ):
        yield f"no {name} was called there"
    own = [e for e in of.seen.at(finding.module) if e.node is not None]
    own = [e for e in own if name in {e.kind, e.name}] or own
    last = own[-1] if own else None
    weighing = [e for e in of.seen.events if _WEIGHS.search(e.name) and e is not last]
    known = [] if last is None else [reaches(event, last) for event in weighing]
    if known and not any(one or one is None for one in known):
        yield "no weights follow"


def _missing(of: Statements, finding: Finding) -> Iterator[str]:
    target = re.search(r"output goes to (\S+) without", finding.seen)[1]  # pyright: ignore
    one, other = of.seen.module(finding.module), of.seen.module(target)
    if one is None or other is None:
        return
    calls = [e for e in of.seen.at(target) if e.kind]
    ways = [
        free_path(call, before)
        for call in calls
        for before in of.seen.at(finding.module)
        if before.kind
    ]
    if ways and not any(way or way is None for way in ways):
        yield f"no way to {target} is without an activation"


def _dropout(of: Statements, finding: Finding) -> Iterator[str]:
    yield from _moments("VARIANCE")(of, finding)
    kind, p = re.match(rf"(\S+) with p = {_N}", finding.seen).groups()  # pyright: ignore
    if not of.called(finding.module, kind):
        yield f"no {kind} ran there"
    module = of.model.get_submodule(finding.module)
    if hasattr(module, "p") and not math.isclose(float(module.p), _number(p), rel_tol=0.01):  # pyright: ignore
        yield f"p is {module.p}"


def _kind(of: Statements, finding: Finding) -> Iterator[str]:
    kind = finding.seen.split(" ")[0].rstrip(":")
    by_hand = any(one.kind == kind and one.module == finding.module for one in of.report.layers)
    if not of.called(finding.module, kind) and not by_hand:
        yield f"no {kind} ran there"


def _sum(of: Statements, finding: Finding) -> Iterator[str]:
    numbers = re.findall(_N, finding.seen.split("second moments")[1])
    for size in (_number(one) for one in numbers):
        if not of.square(size):
            yield f"nothing has the second moment {size:.3g}"


def _padding(of: Statements, finding: Finding) -> Iterator[str]:
    share = int(re.match(r"(\d+)%", finding.seen)[1]) / 100  # pyright: ignore
    module, event = of.model.get_submodule(finding.module), of.seen.module(finding.module)
    if (
        event is None
        or event.read is None
        or not isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d)
    ):
        return
    ones = torch.ones(1, 1, *event.read.shape[2:])
    kernel = torch.ones(1, 1, *module.kernel_size)
    convolve: Any = (functional.conv1d, functional.conv2d, functional.conv3d)[ones.ndim - 3]
    counted = convolve(ones, kernel, None, module.stride, module.padding, module.dilation)
    if abs(1 - float(counted.mean()) / kernel.numel() - share) > 0.01:
        yield f"it is {1 - float(counted.mean()) / kernel.numel():.0%}"


def _bias(of: Statements, finding: Finding) -> Iterator[str]:
    mean, size = (
        _number(one)
        for one in re.search(f"mean {_N} and root mean square {_N}", finding.seen).groups()
    )  # pyright: ignore
    named = of.model.get_submodule(finding.module).named_parameters(recurse=False)
    found = [p.detach().flatten().double() for name, p in named if "bias" in name]
    if not found:
        return
    values = torch.cat(found)
    if not math.isclose(
        float(values.square().mean()) ** 0.5, size, rel_tol=0.01, abs_tol=1e-3
    ) or abs(float(values.mean()) - mean) > 0.01 * max(size, 0.1):
        yield "they have other moments"


def _unused(of: Statements, finding: Finding) -> Iterator[str]:
    for name in of.report.recording.unused:
        own = {
            f"{name}.{n}" for n, _ in of.model.get_submodule(name).named_parameters(recurse=False)
        }
        if name in of.seen.ran or own & of.seen.used:
            yield f"{name} ran"


def _constant(of: Statements, finding: Finding) -> Iterator[str]:
    named = finding.seen.split(" (")[0]
    outputs = [e.output for e in of.seen.at(finding.module) if e.output is not None]
    if (
        named == finding.module
        and outputs
        and all(
            bool((one - one[:1]).abs().max() > 1e-5 * one.abs().max())
            for one in outputs
            if len(one) > 1
        )
    ):
        yield "it varies"


def _dead(of: Statements, finding: Finding) -> Iterator[str]:
    share = int(re.match(r"(\d+)%", finding.seen)[1]) / 100  # pyright: ignore
    if all(one.name != finding.module for one in of.report.layers):
        return  # a function in a module's forward
    outputs = [e.output for e in of.seen.at(finding.module) if e.output is not None]
    shares = [
        float((one.movedim(dim, -1).flatten(0, -2).double().var(0) < 1e-12).double().mean())
        for one in outputs  # of all uses
        if one.ndim > 1
        for dim in (1, one.ndim - 1)
    ]
    if shares and not any(abs(found - share) < 0.02 for found in shares):
        yield f"it is {shares[-1]:.0%}"


def _placed(of: Statements, finding: Finding) -> Iterator[str]:
    yield from _moments("MEAN, VARIANCE behind")(of, finding)
    if found := re.search(
        rf"structure\. (\S+)(?: \(use \d+\))? multiplies the second moment by {_N}", finding.why
    ):
        path, factor = found[1], _number(found[2])
        path = path if "(" not in path else path.rpartition(".")[0]
        if not any(_multiplies(event, factor) for event in of.seen.at(path)) and not of.made(
            path, None, math.nan
        ):
            by_hand = any(
                one.name == found[1] and one.settings.get("by_hand") for one in of.report.layers
            )
            together = _multiplies_there(of, path, factor)
            if not by_hand and not together and "add" not in found[1]:
                yield f"{found[1]} does not multiply by {factor:.3g}"


def _multiplies_there(of: Statements, path: str, factor: float) -> bool:
    """Whether some calls of one `forward`, together, change the second moment by a factor."""
    made = [e.made.second_moment for e in of.seen.at(path) if e.made is not None and e.name]
    return any(math.isclose(m / size, factor, rel_tol=0.02) for m in made for size in made if size)


def _multiplies(event: Event, factor: float) -> bool:
    sizes = [one.second_moment for one in event.given if one.second_moment > 0]
    return event.made is not None and any(
        math.isclose(event.made.second_moment / size, factor, rel_tol=0.02) for size in sizes
    )


def _embedded(of: Statements, finding: Finding) -> Iterator[str]:
    size = _number(re.search(f"second moment {_N}", finding.seen)[1])  # pyright: ignore
    readers = {one.module for one in of.report.layers}
    if not of.square(size, finding.module) and not any(of.square(size, path) for path in readers):
        yield f"nothing has the second moment {size:.3g}"


def _one_sided(of: Statements, finding: Finding) -> Iterator[str]:
    name, mean = re.match(rf"(\S+) has mean {_N}", finding.seen).groups()  # pyright: ignore
    weight = of.parameter(name)
    if weight is not None and not math.isclose(
        float(weight.detach().double().mean()), _number(mean), rel_tol=0.02
    ):
        yield f"{name} has mean {float(weight.mean()):.3g}"


def _trained(_: Statements, __: Finding) -> Iterator[str]:
    yield "weights are said to be aligned by training, and nothing was trained"


_CHECKS: dict[str, Check] = {
    "input-not-standardized": _inputs,
    "wrong-init": _weights,
    "weight-drift": _weights,
    "selu-without-lecun": _selu_weights,
    "one-sided-weights": _one_sided,
    "aligned-weights": _trained,
    "nonzero-bias": _bias,
    "wrong-activation": _activation,
    "missing-activation": _missing,
    "plain-dropout": _dropout,
    "alpha-dropout-misplaced": _moments("MEAN, VARIANCE"),
    "leftover-normalization": _kind,
    "unscaled-residual": _sum,
    "concatenation": _sum,
    "pooling": _moments("MEAN and VARIANCE"),
    "zero-padding": _padding,
    "unused-module": _unused,
    "constant-output": _constant,
    "dead-units": _dead,
    "variance-drift": _placed,
    "embedding-variance": _embedded,
    "unknown-layer": _kind,
}


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def _is_near(values: Values, mean: float | None, variance: float) -> bool:
    near = math.isclose(values.variance, variance, rel_tol=0.01, abs_tol=1e-12)
    spread = math.sqrt(max(variance, 1e-12))
    return near and (
        mean is None or math.isclose(values.mean, mean, rel_tol=0.01, abs_tol=0.01 * spread)
    )


def _leaves(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    parts = (
        value.values()
        if isinstance(value, dict)
        else value
        if isinstance(value, list | tuple)
        else ()
    )
    return [one for part in parts for one in _leaves(part)]


def _holds(tensor: Tensor, value: float) -> bool:
    """Whether a number is among those of a tensor, in three digits."""
    if not tensor.numel() or not (
        tensor.is_floating_point() or tensor.dtype in {torch.int64, torch.uint8}
    ):
        return False
    away = (tensor.double() - value).abs().min()
    return bool(away <= 0.006 * max(abs(value), 1e-3))
