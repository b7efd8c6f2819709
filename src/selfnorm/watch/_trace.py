"""Watch one forward pass: every torch function that is called on activations, and by whom.

Modules are seen by their hooks, functions by a `TorchFunctionMode`. Which layer reads which is kept
for each tensor that is alive; of values, only sums.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.overrides import TorchFunctionMode

from selfnorm._given import leaves
from selfnorm._torch_private import COMPILED
from selfnorm.init._places import find
from selfnorm.recording._layer import CURVE, INPUT
from selfnorm.recording._sample import NO_SAMPLE, LaterSample, Sample
from selfnorm.watch._aggregations import aggregated
from selfnorm.watch._calls import (
    Call,
    bound,
    call_weights,
    called,
    describe,
    idle_probability,
    is_float,
    is_library,
    noted,
)
from selfnorm.watch._curve import curve_of
from selfnorm.watch._draft import Draft
from selfnorm.watch._expressions import by_hand, operands, result, same_function
from selfnorm.watch._flow import Alive, Expression, Flow, Parameter, moved, tensors
from selfnorm.watch._gain import terms_square
from selfnorm.watch._kinds import ALIASING, MAKING, PREPARING, plain_name
from selfnorm.watch._moments import Accumulator, sample, units_last
from selfnorm.watch._products import PRODUCTS
from selfnorm.watch._readings import Readings


class Trace(TorchFunctionMode):
    """Watches every pass that is run inside `watching()`.

    Args:
        model: The model.
        light: Moments, weights and gradients only: no distributions, and no layer's output is
            touched to let gradients through.
    """

    def __init__(self, model: nn.Module, *, light: bool = False) -> None:
        super().__init__()
        self._light = light
        self._paused = False
        self.drafts: dict[tuple[str, str, int], Draft] = {}
        self._layers: list[Draft] = []  # the same, by index
        self.ran: set[str] = set()
        self.read: set[int] = set()  # indices of layers whose output something reads
        self.idle: dict[str, float] = {}
        self.used: set[int] = set()  # ids of parameters that a function was called with
        self.input_gradient = Accumulator()
        self.anchors: list[Tensor] = []
        self._model = model
        self.readings = Readings()
        self._stack: list[tuple[str, nn.Module]] = []
        self._uses: dict[tuple[str, str], int] = {}
        self.flow = Flow()
        self._computed = Alive[Parameter]()

    @cached_property
    def _names(self) -> dict[int, str]:
        return {id(p): n for n, p in self._model.named_parameters(remove_duplicate=False)}

    @property
    def unread(self) -> set[int]:
        """Indices of layers whose output nothing has read so far."""
        inner = {index for draft in self._layers for index in draft.inputs}
        return {draft.index for draft in self._layers} - self.read - inner

    @cached_property
    def _drawn(self) -> frozenset[str]:
        """Names of the parameters that `initialize_` draws."""
        return frozenset(slot.place.qualified for slot in find(self._model)[0])

    # What is fed in and comes out

    def feed(self, values: object) -> None:
        """These tensors are the model's inputs; a new pass begins."""
        self.flow.clear()
        self._uses.clear()
        self.anchors = []
        self.readings.given = [value for value in leaves(values) if isinstance(value, Tensor)]
        for value in self.readings.given:
            self.flow.remember(value, (INPUT,), None)

    @contextmanager
    def watching(self, *, root: bool = True) -> Generator[None]:
        """Hooks on every module, and the mode, while the block runs.

        Args:
            root: On the model too; not if its own hooks are running already.
        """
        with ExitStack() as stack:
            scripted: dict[int, str] = {}
            for path, module in self._model.named_modules():
                if not path and not root:
                    continue
                name = path.replace(f"{COMPILED}.", "")
                if isinstance(module, torch.jit.ScriptModule):  # which take no hooks of their own
                    scripted[id(module)] = name
                    continue
                enter, leave = self._hooks(name)
                stack.callback(module.register_forward_pre_hook(enter).remove)
                ends = module.register_forward_hook(leave, always_call=True)  # errors may be caught
                stack.callback(ends.remove)
            if scripted:
                stack.callback(register_module_forward_hook(self._scripted_hook(scripted)).remove)
            stack.callback(self._stack.clear)
            with self:
                yield

    def _scripted_hook(self, names: Mapping[int, str]) -> Callable[..., None]:
        def leave(module: nn.Module, args: object, output: object) -> None:
            if id(module) in names:
                self._adopt_quietly(names[id(module)], module, args, output)

        return leave

    def _hooks(self, path: str) -> tuple[Callable[..., None], Callable[..., None]]:
        def enter(module: nn.Module, _args: object) -> None:
            self._stack.append((path, module))
            self.ran.add(path)

        def leave(module: nn.Module, args: object, output: object) -> None:
            self._adopt_quietly(path, module, args, output)
            self._stack.pop()

        return enter, leave

    def _adopt_quietly(self, path: str, module: nn.Module, args: object, output: object) -> None:
        self._paused = True  # what follows is not the model's doing
        try:
            self._adopt(path, module, args, output)
        finally:
            self._paused = False

    def _adopt(self, path: str, module: nn.Module, args: object, output: object) -> None:
        """A module whose output came by a way that no function shows is a layer by itself."""
        values = [v for v in leaves(output) if is_float(v)]
        if not values or any(self.flow.known(v) for v in values):
            return
        before = self.flow.sources(args)
        if not before:
            return
        call = Call("forward", "unknown")
        if not self._light and (name := same_function(args, values[0])):
            call = Call("forward", "activation", name, {"by_hand": True, "inplace": False})
        self.read.update(before)
        draft = self._record(call, (path, module), before, values[0], (), {}, named=True)
        for value in values:
            self.flow.remember(value, (draft.index,), draft.dim)
        if values[0].requires_grad:
            values[0].register_hook(draft.moments.add_gradient)

    # Functions

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if self._paused:
            return func(*args, **kwargs)
        given = tensors(args, kwargs)
        self.used.update(id(v) for v in given if id(v) in self._names)
        tracked = [v for v in given if (known := self.flow.known(v)) and known.sources]
        name = plain_name(func)
        if not tracked or name in MAKING:
            return self._derived(given, func(*args, **kwargs))
        before = self.flow.sources(tracked)
        owner = self._stack[-1] if self._stack else ("", self._model)
        call = describe(func, args, kwargs, tracked, owner[1])
        if call is not None and call.role == "activation" and call.activation != "selu":
            call = self._with_curve(call, func, args, kwargs)
        if p := idle_probability(name, args, kwargs, owner[1]):
            self.idle[f"{owner[0]}.{name}()".lstrip(".")] = p
        if name not in ALIASING:
            self.read.update(before)
        read = None if self._light else operands(name, given, tracked, self.flow)
        output = called(func, args, kwargs)
        if output is None or isinstance(output, int | float | bool | torch.Size | str):
            if name == "setitem":
                self._written(owner, before, tracked, args)
            return output
        made = [v for v in leaves(output) if isinstance(v, Tensor)]
        expression = result(name, read, made[0]) if read and made else None
        if expression is not None:
            call = by_hand(name, call, expression, tracked, made[0])
        if call is not None and call.role in PREPARING and self._prepares(before, given, tracked):
            call = None
        return self._after(call, owner, before, tracked, args, kwargs, output, expression)

    def _prepares(
        self, before: tuple[int, ...], given: Sequence[Tensor], tracked: Sequence[Tensor]
    ) -> bool:
        """Whether a call makes of inputs what the model reads, with nothing that is trained."""
        read = {id(v) for v in tracked}
        others = [v for v in given if id(v) not in read]
        return before == (INPUT,) and not any(v.requires_grad or self._origin(v) for v in others)

    def _origin(self, value: Tensor) -> Parameter | None:
        """The parameter that a tensor is, or is computed from."""
        name = self._names.get(id(value))
        if name is None:
            return self._computed.get(value)
        return Parameter(name, tuple(value.shape), name in self._drawn, value)

    def _learned(self, value: Tensor) -> bool:
        """Whether a tensor is a parameter, or weights stand before it."""
        known = self.flow.known(value)
        sources = known.sources if known is not None else ()
        learned = any(self._layers[i].learned for i in sources if i != INPUT)
        return learned or self._origin(value) is not None

    def _derived(self, given: Sequence[Tensor], output: Any) -> Any:
        """What is computed from a parameter is remembered as that."""
        origin = next((found for v in given if (found := self._origin(v))), None)
        if origin is not None and isinstance(output, Tensor) and id(output) not in self._names:
            self._computed.put(output, origin)
        return output

    def _written(
        self,
        owner: tuple[str, nn.Module],
        before: tuple[int, ...],
        tracked: Sequence[Tensor],
        args: Sequence[Any],
    ) -> None:
        """Numbers that are written into a layer's output make another layer of it.

        What comes from layers and is written into a tensor is there from then on.
        """
        value: Tensor = args[0]
        known = self.flow.known(value)
        by_numbers = len(tracked) == 1 and tracked[0] is value
        if known is None or not by_numbers or INPUT in before or value.is_leaf:
            self.flow.remember(value, before, None)
            return
        draft = self._record(
            Call("setitem", "unknown", in_place=True), owner, before, value, args, {},
            inherited=known.dim,
        )  # fmt: skip
        self._layers[before[0]].overwritten_by = draft.index
        if value.requires_grad:
            value.register_hook(draft.moments.add_gradient)
        self.flow.remember(value, (draft.index,), draft.dim)

    def _after(
        self,
        call: Call | None,
        owner: tuple[str, nn.Module],
        before: tuple[int, ...],
        tracked: Sequence[Tensor],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        output: Any,
        expression: Expression | None,
    ) -> Any:
        values = [v for v in leaves(output) if isinstance(v, Tensor)]
        floats = [v for v in values if is_float(v) and v.numel()]
        name = call.name if call is not None else ""
        summed = aggregated(name, args, kwargs, tracked, self.flow, self._learned)
        if call is not None and summed:
            call = replace(call, role="aggregation", channels_second=None)
            tracked, before = summed, self.flow.sources(summed)
        first_known = self.flow.known(tracked[0])
        dim = first_known.dim if first_known is not None else None
        if call is None or not floats or (call.role == "unknown" and floats[0].ndim == 0):
            for value in values:
                self.flow.remember(value, before, moved(tracked[0], dim, value), expression)
            return output
        call = noted(call, tracked, floats[0], light=self._light)
        draft = self._record(
            call, owner, before, floats[0], args, kwargs, tracked=tracked, inherited=dim
        )
        if call.name in PRODUCTS and call.role == "linear" and not draft.weights:
            draft.call = call = replace(call, role="product")  # by what is no parameter
        if call.in_place and before[0] != INPUT:
            self._layers[before[0]].overwritten_by = draft.index
        first = floats[0]
        if call.role == "linear" and not self._light:
            given = bound(call.name, args, kwargs)
            self._read_terms(given, tracked[0], first, draft)
        cut = not any(v.requires_grad for v in tracked)  # so that gradients end there
        if not self._light and cut:
            output = self._anchored(output, first)
            floats[0] = output if isinstance(output, Tensor) else first
        if floats[0].requires_grad:
            floats[0].register_hook(draft.moments.add_gradient)
        draft.expression = draft.expression or expression
        for value in floats:
            self.flow.remember(value, (draft.index,), draft.dim, expression)
        return output

    def _with_curve(
        self, call: Call, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Call:
        """An activation with its values, if it was given parameters that its name does not tell."""
        if self._light:
            return call
        self._paused = True
        try:
            found = curve_of(func, args, kwargs)
        finally:
            self._paused = False
        return call if found is None else replace(call, settings={**call.settings, CURVE: found})

    def _anchored(self, output: Any, first: Tensor) -> Any:
        """The output, made to depend on something that gradients can be taken by."""
        if output is not first or not torch.is_grad_enabled() or first.is_inference():
            return output
        anchor = torch.zeros((), dtype=first.dtype, device=first.device, requires_grad=True)
        self.anchors.append(anchor)
        return first + anchor

    def _record(
        self,
        call: Call,
        owner: tuple[str, nn.Module],
        before: tuple[int, ...],
        value: Tensor,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        tracked: Sequence[Tensor] = (),
        inherited: int | None = None,
        named: bool = False,
    ) -> Draft:
        path, module = owner
        whole = named or is_library(module)
        kind = type(module).__name__ if whole else f"{call.name}()"
        name = path if whole and path else f"{path}.{call.name}()".lstrip(".")
        key = (path, kind if not whole else f"{kind}.{call.name}")
        use = self._uses[key] = self._uses.get(key, 0) + 1
        draft = self.drafts.get((*key, use))
        if draft is None:
            dim = _dimension(call, value, inherited)
            weights, bias = call_weights(
                call, args, kwargs, module, path, tracked, self._origin, light=self._light
            )
            draft = Draft(
                index=len(self.drafts),
                name=name if use == 1 else f"{name} (use {use})",
                module=path,
                owner=type(module).__name__,
                kind=kind,
                call=call,
                use=use,
                inputs=before,
                shape=tuple(value.shape),
                dtype=str(value.dtype).removeprefix("torch."),
                dim=dim,
                sample=NO_SAMPLE if self._light else _sample(call, value, dim),
                weights=weights,
                bias=bias,
                learned=bool(weights) or any(self._layers[i].learned for i in before if i != INPUT),
            )
            self.drafts[(*key, use)] = draft
            self._layers.append(draft)
        draft.moments.update(value, draft.dim)
        return draft

    def _read_terms(
        self, given: Mapping[str, Any], value: Tensor, output: Tensor, draft: Draft
    ) -> None:
        """The moments of what a layer with weights reads, in full if that is the model's input."""
        draft.terms += terms_square(draft.call.name, given, value) * output.numel()
        if draft.inputs == (INPUT,):
            self.readings.read(value, draft)


def _sample(call: Call, value: Tensor, dim: int) -> Sample | LaterSample:
    return sample(value, dim, call.activation, call.settings.get("form"))


def _dimension(call: Call, value: Tensor, inherited: int | None) -> int:
    if value.ndim < 2:
        return -1
    if call.channels_second is not None:
        return 1 if (call.channels_second and value.ndim > 2) or value.ndim == 2 else value.ndim - 1
    return units_last(call.name, value.ndim, inherited) % value.ndim
