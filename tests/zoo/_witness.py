"""What a network does in one pass, seen by hooks and a mode of our own, to hold reports against.

Nothing here is shared with what is judged: plain hooks, plain sums, and torch's own graph.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from tests.zoo._run import copied, loss_of, run
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_BENDING = re.compile(
    "Relu|Gelu|Silu|Elu|Sigmoid|Tanh|Hardswish|Softplus|Mish|Softmax|Clamp|Exp|Log|Pow|Sin|Cos|"
    "Prelu|Glu|Softshrink|Abs|Sign|Softsign|Threshold|Max|Min|Where|selfnorm"
)
_STEPS = 200_000


@dataclass(frozen=True)
class Values:
    """What is said of a tensor: moments over everything, and the ends."""

    shape: tuple[int, ...]
    mean: float
    variance: float
    low: float
    high: float

    @property
    def second_moment(self) -> float:
        return self.variance + self.mean**2


@dataclass(frozen=True)
class Event:
    """A call of a module or of a function.

    Attributes:
        path: Of the module; of a function, of that in whose `forward` it is called.
        name: The function's; "" of a module.
        kind: The module's class; "" of a function.
        given: What it was given, floating-point tensors alone.
        made: What came out; None if that is no such tensor.
        options: Named and unnamed arguments that are no tensors.
        reads: Nodes of torch's graph of what was given.
        node: That of the output.
        output: The output itself, of modules.
        read: What a module was given first.
    """

    path: str
    name: str
    kind: str
    given: tuple[Values, ...]
    made: Values | None
    options: tuple[Any, ...] = ()
    reads: tuple[Any, ...] = ()
    node: Any = None
    output: Tensor | None = None
    read: Tensor | None = None


@dataclass
class Witness:
    """All calls of one pass in training mode, in order, and which parameters the output reads."""

    events: list[Event] = field(default_factory=list[Event])
    used: set[str] = field(default_factory=set[str])
    ran: set[str] = field(default_factory=set[str])

    def at(self, path: str) -> Iterator[Event]:
        """Calls of a module, and of functions in its own `forward`."""
        return (event for event in self.events if event.path == path)

    def module(self, path: str) -> Event | None:
        """The first call of a module."""
        return next((e for e in self.at(path) if e.kind and e.made is not None), None)

    def functions(self, *names: str) -> list[Event]:
        return [event for event in self.events if event.name in names]


def witness(model: nn.Module, inputs: Any) -> Witness:
    """See one pass of a copy of a model; the same random numbers as an audit has."""
    seen, model = Witness(), copied(model).train()
    names = dict(model.named_modules())
    stack: list[str] = []
    handles = []

    def enter(path: str) -> Callable[..., None]:
        def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            stack.append(path)
            seen.ran.add(path)

        return hook

    def leave(path: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> None:
            stack.pop()
            with torch._C.DisableTorchFunction():  # not the model's doing
                given, made = _floats((args, kwargs)), _floats(output)
                seen.events.append(_event(path, "", type(module).__name__, given, made))

        return hook

    for path, module in names.items():
        if not isinstance(module, torch.jit.ScriptModule):
            handles += [
                module.register_forward_pre_hook(enter(path), with_kwargs=True),
                module.register_forward_hook(leave(path), with_kwargs=True),
            ]
    try:
        with torch.enable_grad(), _Log(seen, stack):
            outputs = run(model, inputs)
    finally:
        for handle in handles:
            handle.remove()
    seen.used = _used(model, outputs)
    return seen


def free_path(behind: Event, before: Event) -> bool | None:
    """Whether what a module reads comes from another's output by a way without an activation.

    None if torch's graph does not tell.
    """
    end = before.node
    waiting = [node for node in behind.reads if node is not None]
    if end is None or not waiting:
        return None
    seen: set[Any] = set()
    while waiting and len(seen) < _STEPS:
        node = waiting.pop()
        if node is end:
            return True
        if node in seen or _BENDING.search(node.name()):
            continue
        seen.add(node)
        waiting += [one for one, _ in node.next_functions if one is not None]
    return False


def reaches(behind: Event, before: Event) -> bool | None:
    """Whether what one call reads depends on what another gives; None if that is not known."""
    end, waiting = before.node, [node for node in behind.reads if node is not None]
    if end is None or not waiting:
        return None
    seen: set[Any] = set()
    while waiting and len(seen) < _STEPS:
        node = waiting.pop()
        if node is end:
            return True
        if node not in seen:
            seen.add(node)
            waiting += [one for one, _ in node.next_functions if one is not None]
    return False


class _Log(TorchFunctionMode):
    """Writes down each function that is called with tensors."""

    def __init__(self, seen: Witness, stack: Sequence[str]) -> None:
        super().__init__()
        self.seen, self.stack = seen, stack

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        given = _floats((args, kwargs))
        before = [_values(one) for one in given[:4]]  # it may write into them
        nodes = tuple(one.grad_fn for one in given)
        output = func(*args, **kwargs)
        if given:
            name = getattr(func, "__name__", "").strip("_")
            path = self.stack[-1] if self.stack else ""
            made = _floats(output)
            if made and name not in _ACCESS:
                options = tuple(v for v in (*args, *kwargs.values()) if not isinstance(v, Tensor))
                made_of = (path, name, "", tuple(before), _values(made[0]))
                self.seen.events.append(Event(*made_of, options, nodes, made[0].grad_fn))
        return output


_ACCESS = {"get", "set", "detach", "register_hook", "size", "dim"}


def _event(path: str, name: str, kind: str, given: list[Tensor], made: list[Tensor]) -> Event:
    return Event(
        path, name, kind, tuple(_values(one) for one in given), _values(made[0]) if made else None,
        (), tuple(one.grad_fn for one in given), made[0].grad_fn if made else None,
        made[0].detach() if made else None, given[0].detach() if given else None,
    )  # fmt: skip


def _values(tensor: Tensor) -> Values:
    with torch.no_grad(), torch._C.DisableTorchFunction():
        flat = tensor.detach()
        flat = (flat.to_dense() if flat.layout != torch.strided else flat).flatten().double()
        if not flat.numel():
            return Values(tuple(tensor.shape), *[math.nan] * 4)
        variance, mean = torch.var_mean(flat, correction=0)
        low, high = flat.aminmax()
        found = (float(mean), float(variance), float(low), float(high))
    return Values(tuple(tensor.shape), *found)


def _floats(value: Any) -> list[Tensor]:
    """Floating-point tensors of arguments or outputs, in order."""
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() and not value.is_meta else []
    if isinstance(value, dict):
        return [one for part in value.values() for one in _floats(part)]
    if isinstance(value, list | tuple):
        return [one for part in value for one in _floats(part)]
    if hasattr(value, "__dict__") and not isinstance(value, type | nn.Module):
        return [one for part in vars(value).values() for one in _floats(part)]
    return []


def _used(model: nn.Module, outputs: list[Tensor]) -> set[str]:
    """Names of the parameters that the outputs depend on."""
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    try:
        loss = loss_of(outputs)
        found = torch.autograd.grad(loss, [p for _, p in named], allow_unused=True)
    except RuntimeError:
        return {name for name, _ in named}  # nothing is known
    return {name for (name, _), one in zip(named, found, strict=True) if one is not None}
