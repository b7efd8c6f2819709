"""AdamW with gradient clipping, for small layers: without Python between parameters."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from selfnorm import _torch_private
from selfnorm._parameters import Number
from selfnorm.errors import ArgumentError
from selfnorm.optim._groups import (
    OF_TORCH,
    as_groups,
    check_members,
    may_fuse,
    members_of,
    split,
)

_PLAIN = (Tensor, torch.nn.Parameter)
_TINY = 1e-6  # as torch's clip_grad_norm_ has it
_STATE = ("exp_avg", "exp_avg_sq", "step")
_OWN = ("max_norm", "clip_by_member", "grad_norm")


class AdamW(torch.optim.AdamW):
    """AdamW (Loshchilov and Hutter 2019), a whole step of it as one call.

    It is torch's AdamW: the same arithmetic by the same fused kernel, the same `param_groups` and
    `state_dict` (either loads the other's), hooks and schedulers; what it saves is the Python
    between parameters, which in networks of width 64 takes longer than the arithmetic. Clipping
    goes by the same pass. Where torch's kernel cannot be called so (other devices, other options,
    classes of tensors), torch's own step serves, after clipping.

    Whoever exchanges a tensor in `state` by hand empties `state` first, or makes another optimizer.

    Args:
        params: Parameters, named parameters, or groups of them, as torch takes them.
        lr: Learning rate.
        betas: Decay of the averages of gradients and of their squares.
        eps: Added to the root of the squares' average.
        weight_decay: Decoupled weight decay.
        decay_biases: If False, biases are not decayed: each group becomes two. Biases are
            parameters of one dimension or none, and those whose name ends in "bias". Groups that
            are added later are left as they are.
        max_norm: Clip the gradients of a step to this norm, all parameters' together; they are left
            clipped. If None, nothing is clipped.
        clip_by_member: Clip the gradients of each member of `selfnorm.nn.MLP(members=K)` for
            itself, so that one's explosion does not stop the others. All parameters have one first
            dimension, K, then.
        by_member: Options for each of K members, at any of "lr", "weight_decay" and "betas": a
            sequence of K. Learning rates are multiples of the group's, which a scheduler moves; the
            others take the place of the group's.
        **options: Of torch's AdamW.

    Attributes:
        grad_norm: The norm at the last step, before clipping, scalar or (K,); None where nothing is
            clipped.

    Raises:
        ArgumentError: `max_norm` is not above 0; or, of members, an option's name or length is
            wrong, or parameters differ in their first dimension.

    Example:
        >>> model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.SELU())
        >>> optimizer = AdamW(model.named_parameters(), max_norm=1.0, decay_biases=False)
        >>> model(torch.randn(4, 8)).square().mean().backward()
        >>> optimizer.step()
        >>> [group["weight_decay"] for group in optimizer.param_groups]
        [0.01, 0.0]
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        *,
        decay_biases: bool = True,
        max_norm: float | None = None,
        clip_by_member: bool = False,
        by_member: Mapping[str, Sequence[Any]] | None = None,
        **options: Any,
    ) -> None:
        rule = Number(0, float("inf"), open_low=True)
        if max_norm is not None and not rule.holds(max_norm):
            raise ArgumentError(f"max_norm must be {rule}, or None; got {max_norm!r}.")
        if clip_by_member and max_norm is None:
            raise ArgumentError("clip_by_member clips to max_norm; got max_norm=None.")
        self.max_norm, self.clip_by_member = max_norm, clip_by_member
        self.grad_norm: Tensor | None = None
        self._last: tuple[list[_Work], Any, int] = [], None, 0
        groups = list(params)
        if by_member is not None or not decay_biases:
            groups = list(as_groups(groups))
        if by_member is not None:
            groups = [{"by_member": dict(by_member), **group} for group in groups]
        if not decay_biases:
            groups = [part for group in groups for part in split(group)]
        if not {"fused", "foreach", "differentiable"} & options.keys():
            options["fused"] = may_fuse(groups)
        super().__init__(groups, lr, betas, eps, weight_decay, **options)
        # Else a GradScaler hands over gradients as they are scaled, and those would be clipped.
        self._step_supports_amp_scaling = False

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, with options of their own."""
        param_group.setdefault("by_member", None)
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        if group["by_member"] is not None:
            check_members(group)
        if self.clip_by_member:
            members_of([one for each in self.param_groups for one in each["params"]])

    def __getstate__(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in _OWN}
        return {**super().__getstate__(), **own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._last = [], None, 0
        for group in self.param_groups:
            group.setdefault("by_member", None)  # which torch's state does not tell

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or set them to 0."""
        if not set_to_none:
            return super().zero_grad(set_to_none)
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None
        return None

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; the loss, if a closure computes it."""
        with_hooks = _torch_private.ways.step_with_hooks
        if with_hooks is None or type(self).step is not _STEP:  # torch runs them around this
            return self._step(closure)
        return with_hooks(self, AdamW._step, closure)

    vars(step)["hooked"] = _torch_private.ways.step_with_hooks is not None  # torch asks for it

    @torch.no_grad()
    def _step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        works = self._find_works()
        simple = _torch_private.ways.fused_adamw is not None and all(
            work.is_simple and not work.group["foreach"] and work.group["fused"] is not False
            for work in works
        )
        scale = self._clip(works, in_place=not simple)
        if simple:
            for work in works:
                work.run(scale)
        elif any(work.group["by_member"] for work in works):
            for work in works:
                work.run_by_torch()
        else:
            _with_own_counts(self.state.values())
            _torchs_step(self)
        return loss

    def _find_works(self) -> list["_Work"]:
        """What there is to do; from the step before, if no more than gradients changed."""
        groups, state = self.param_groups, self.state
        works, seen, size = self._last
        if seen is state and size == len(state) and len(works) == len(groups):
            again = [work.again(group) for work, group in zip(works, groups, strict=True)]
            if None not in again:
                return [work for work in again if work is not None and work.parameters]
        works = [_Work.of(group, state) for group in groups]
        self._last = works, state, len(state)
        return [work for work in works if work.parameters]

    def state_dict(self) -> dict[str, Any]:
        """As torch has it: each parameter with a count of its own."""
        found = super().state_dict()
        found["state"] = {key: dict(state) for key, state in found["state"].items()}
        _with_own_counts(found["state"].values())
        return found

    def _clip(self, works: list["_Work"], *, in_place: bool) -> Tensor | None:
        """What gradients have to be divided by, one number or one of each member, or None."""
        if self.max_norm is None or not works:
            return None
        gradients = [gradient for work in works for gradient in work.gradients]
        if self.clip_by_member:
            parts = [g.flatten(1) for g in gradients]
            squares = [torch.linalg.vector_norm(part, dim=1) for part in parts]
            norm = torch.linalg.vector_norm(torch.stack(squares), dim=0)
        else:
            norm = _norm(gradients)
        self.grad_norm = norm
        scale = ((norm + _TINY) / self.max_norm).clamp(min=1.0)
        if not in_place:
            return scale
        for gradient in gradients:
            gradient.div_(scale.view(-1, *[1] * (gradient.ndim - 1)) if scale.ndim else scale)
        return None


_STEP = AdamW.step


class _Work(NamedTuple):
    """A group's parameters that have a gradient, and what belongs to them."""

    group: dict[str, Any]
    parameters: list[Tensor]
    gradients: list[Tensor]
    averages: list[Tensor]
    squares: list[Tensor]
    steps: list[Tensor]
    is_simple: bool
    """Whether one call of torch's kernel may do it."""

    @classmethod
    def of(cls, group: dict[str, Any], state: dict[Tensor, dict[str, Any]]) -> "_Work":
        parameters = [one for one in group["params"] if one.grad is not None]
        gradients = [cast("Tensor", one.grad) for one in parameters]
        if not parameters or any(group[name] for name in OF_TORCH):
            return cls(group, parameters, gradients, [], [], [], is_simple=not parameters)
        states = [state[one] for one in parameters]
        if len(parameters) < len(group["params"]):  # some do not go on
            _with_own_counts(state[one] for one in group["params"] if one in state)
        _start(parameters, states)
        dtype = parameters[0].dtype
        is_simple = all(
            one.is_cpu
            and one.dtype is dtype
            and type(one) in _PLAIN
            and gradient.layout is torch.strided
            for one, gradient in zip(parameters, gradients, strict=True)
        )
        lists = ([each[name] for each in states] for name in _STATE)
        return cls(group, parameters, gradients, *lists, is_simple=is_simple)

    def again(self, group: dict[str, Any]) -> "_Work | None":
        """The same with the gradients of now, if all of the group had some and have."""
        if group is not self.group or len(group["params"]) != len(self.parameters):
            return None
        gradients: list[Any] = [one.grad for one in self.parameters]
        if any(one is None for one in gradients):
            return None
        return self._replace(gradients=gradients)

    def run(self, scale: Tensor | None) -> None:
        """By the kernel itself, which divides the gradients first."""
        fused: Any = _torch_private.ways.fused_adamw
        for one in {id(step): step for step in self.steps}.values():
            one.add_(1)
        by_member = scale is not None and scale.ndim > 0
        for number, (lists, options) in enumerate(self._parts(apart=by_member)):
            divisor = scale[number] if scale is not None and by_member else scale
            fused(*lists, [], self.steps, **options, amsgrad=False, grad_scale=divisor)

    def run_by_torch(self) -> None:
        """By torch's function of lists, which counts by itself."""
        torchs: Any = adamw
        for lists, options in self._parts(apart=False):
            steps = [step.clone() for step in self.steps]
            torchs(*lists, [], steps, **options, amsgrad=False)
        for one in {id(step): step for step in self.steps}.values():
            one.add_(1)

    def _parts(self, *, apart: bool) -> Iterator[tuple[Sequence[list[Tensor]], dict[str, Any]]]:
        """Parameters, gradients and averages with their options: all, or each member's."""
        group, by_member = self.group, self.group["by_member"]
        lists = self.parameters, self.gradients, self.averages, self.squares
        if not (by_member or (apart and self.parameters)):
            yield lists, _options(group)
            return
        unbound = [[one.unbind() for one in each] for each in lists]
        for number in range(self.parameters[0].shape[0]):
            own = {name: values[number] for name, values in (by_member or {}).items()}
            own["lr"] = float(group["lr"]) * own.get("lr", 1.0)
            yield [[one[number] for one in each] for each in unbound], _options({**group, **own})


def _options(group: Mapping[str, Any]) -> dict[str, Any]:
    beta1, beta2 = map(float, group["betas"])
    numbers = {name: float(group[name]) for name in ("lr", "weight_decay", "eps")}
    return {**numbers, "beta1": beta1, "beta2": beta2, "maximize": group["maximize"]}


def _start(parameters: list[Tensor], states: list[dict[str, Any]]) -> None:
    """Begin the averages of those that have none; they count their steps by one tensor."""
    step: Tensor | None = None
    for parameter, state in zip(parameters, states, strict=True):
        if state:
            continue
        if step is None or step.device != parameter.device:
            step = torch.zeros((), dtype=torch.float32, device=parameter.device)
        state["step"] = step
        for name in _STATE[:2]:
            state[name] = torch.zeros_like(parameter, memory_format=torch.preserve_format)


def _with_own_counts(states: Iterable[dict[str, Any]]) -> None:
    """Give each a count of its own, as torch's step adds to every one."""
    seen: set[int] = set()
    for state in states:
        step = state.get("step")
        if id(step) in seen and step is not None:
            state["step"] = step.clone()
        seen.add(id(step))


def _norm(gradients: list[Tensor]) -> Tensor:
    """Of all; in one pass where one lies behind the other, as a chain's do."""
    flat = _as_one(gradients)
    if flat is not None:
        return torch.linalg.vector_norm(flat)
    return torch.nn.utils.get_total_norm(gradients)


def _as_one(tensors: list[Tensor]) -> Tensor | None:
    """Tensors on the CPU that lie one behind the other, in any order, as one vector."""
    if not all(type(one) in _PLAIN and one.layout is torch.strided for one in tensors):
        return None
    places = sorted((one.data_ptr(), one.numel(), number) for number, one in enumerate(tensors))
    first = tensors[places[0][2]]
    if not first.is_cpu:
        return None
    begin, size, dtype, at = places[0][0], first.element_size(), first.dtype, places[0][0]
    for (address, count, _), one in zip(places, tensors, strict=True):
        if address != at or one.dtype is not dtype or not one.is_contiguous():
            return None
        at += count * size
    storage = first.untyped_storage()
    if at > storage.data_ptr() + storage.nbytes():
        return None
    return first.as_strided(((at - begin) // size,), (1,), first.storage_offset())


def _torchs_step(optimizer: torch.optim.Optimizer) -> None:
    """Take torch's own, without the hooks that this one has run."""
    step: Any = torch.optim.AdamW.step
    while getattr(step, "hooked", False):
        step = step.__wrapped__
    step(optimizer)
