"""Watch a network while it trains: every n-th step as an audit sees it, the others untouched."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from selfnorm import _extras
from selfnorm._parameters import Whole
from selfnorm.errors import ArgumentError, SelfNormWarning, UnsupportedError
from selfnorm.recording import Observation
from selfnorm.recording._layer import INPUT
from selfnorm.recording._observation import EVERY, table_of
from selfnorm.recording._rightness import is_mean_off, is_variance_off, is_wrong
from selfnorm.theory import THEOREM_1
from selfnorm.watch._draft import Draft
from selfnorm.watch._observe import observations
from selfnorm.watch._trace import Trace
from selfnorm.watch._wrapped import eager, inner

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_WRITTEN = ("mean", "variance", "omega", "tau", "gradient", "gain", "gram_error")


class Writer(Protocol):
    """Who takes figures as they come: `torch.utils.tensorboard.SummaryWriter` is one."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> object:
        """Write one figure."""
        ...


class Monitor:
    """Records a model's layers in every n-th training step; see `monitor`.

    Attributes:
        records: The observations so far, step by step and in the order of the layers.
        steps: How many training steps have been counted.
    """

    def __init__(self, model: nn.Module, every: int = EVERY, writer: Writer | None = None) -> None:
        if not isinstance(model, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UnsupportedError(
                f"monitor watches a torch.nn.Module; got {type(model).__name__}. Pass the network."
            )
        if not Whole(1).holds(every):
            raise ArgumentError(
                f"every counts steps and is a whole number, 1 or more; got {every!r}. 100 costs "
                "next to nothing."
            )
        self.records: list[Observation] = []
        self.steps = 0
        self._outer, self._every, self._writer = model, every, writer
        self._model = inner(model)
        self._handle: torch.utils.hooks.RemovableHandle | None = None
        self._ending: torch.utils.hooks.RemovableHandle | None = None
        self._trace: Trace | None = None
        self._traced_step = 0
        self._watching: ExitStack | None = None
        self._warned = False
        self._trained = {id(parameter) for parameter in model.parameters()}
        self._updates: torch.utils.hooks.RemovableHandle | None = None
        self._updated, self._optimized = True, False

    def start(self) -> "Monitor":
        """Count the model's training steps from now on, by its calls in training mode."""
        if self._handle is None:
            before: Callable[..., None] = self._before
            self._handle = self._outer.register_forward_pre_hook(before, with_kwargs=True)
            self._updates = register_optimizer_step_post_hook(self._after_update)
        return self

    def close(self) -> None:
        """Leave no hook behind, and finish the last record."""
        self.shut()
        if self._handle is not None:
            self._handle.remove()
            self._handle = None
        if self._updates is not None:
            self._updates.remove()
            self._updates = None
        self.collect()

    def __enter__(self) -> "Monitor":
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def history(self) -> "pd.DataFrame":
        """All observations as a pandas table.

        Raises:
            UnsupportedError: pandas is not installed; `records` needs none.
        """
        self.collect()
        return table_of(self.records)

    def plot(self) -> "Figure":
        """Variance, tau and gradient gain of each layer over the steps: a matplotlib figure.

        Where weights are near orthogonal, how far they are, too.
        """
        with _extras.told():
            from selfnorm.plots._monitor import plot_monitor  # noqa: PLC0415 - matplotlib is slow
        self.collect()
        return plot_monitor(self.records)

    # One step: also called by what has hooks of its own

    def step(self, inputs: object) -> None:
        """A training step on these inputs begins; if it is an n-th one, watch until `shut`."""
        self.collect()
        number, self.steps = self.steps, self.steps + 1
        if number % self._every or self._watching is not None:
            return
        trace = Trace(self._model, light=True)
        trace.feed(inputs)
        stack = ExitStack()
        stack.enter_context(eager(self._outer))
        if self._outer is not self._model:  # it may pass on copies of what it is given
            handle = self._model.register_forward_pre_hook(
                lambda _, args, kwargs: trace.feed((args, kwargs)), with_kwargs=True
            )
            stack.callback(handle.remove)
        stack.enter_context(trace.watching(root=False))
        self._trace, self._traced_step, self._watching = trace, number, stack

    def shut(self) -> None:
        """The forward pass is over; gradients still arrive."""
        if self._watching is not None:
            stack, self._watching = self._watching, None
            stack.close()

    def collect(self) -> None:
        """Turn what was watched last into records; its backward pass is over by now."""
        if self._trace is None or self._watching is not None:
            return
        if self._ending is not None:
            self._ending.remove()
            self._ending = None
        trace, self._trace = self._trace, None
        new = observations(trace, self._traced_step)
        self.records += new
        self._write(new)
        self._warn(list(trace.drafts.values()), self._traced_step)

    def _after_update(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        groups = optimizer.param_groups
        if any(id(p) in self._trained for group in groups for p in group["params"]):
            self._updated = self._optimized = True

    def _begins(self) -> bool:
        """Whether a call is the first of its step: weights were updated since the last one began.

        Where no optimizer was seen to do so, each call is a step, but for those before the gradient
        of the first.
        """
        if self._updated or self._optimized:
            return self._updated
        trace = self._trace
        return trace is None or any(d.moments.gradient_count for d in trace.drafts.values())

    def _before(self, module: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> None:
        if module.training and torch.is_grad_enabled() and self._begins():
            self._updated = False
            self.step((args, kwargs))
            if self._watching is not None and self._ending is None:  # other steps pay for one hook
                after: Callable[..., None] = self._after
                self._ending = module.register_forward_hook(after, always_call=True)

    def _after(self, _module: nn.Module, _args: Any, _output: Any) -> None:
        self.shut()

    def _write(self, new: list[Observation]) -> None:
        if self._writer is None:
            return
        for record in new:
            for name in _WRITTEN:
                value = getattr(record, name)
                if np.isfinite(value):
                    self._writer.add_scalar(f"selfnorm/{name}/{record.layer}", value, record.step)

    def _warn(self, drafts: Sequence[Draft], step: int) -> None:
        """Once, when an audit would call a SELU layer's moments or the weights before it wrong."""
        if self._warned:
            return
        for draft in drafts:
            if draft.call.activation != "selu":
                continue
            before = [drafts[index] for index in draft.inputs if index != INPUT]
            for layer, name, value in _departures(draft, before):
                self._warned = True
                warnings.warn(
                    f"theorem 1's conditions are left at step {step}: {name} of "
                    f"{layer.name!r} is {value:.3g}, outside {THEOREM_1.interval(name)}, by more "
                    "than chance. selfnorm.audit tells why; this is said once.",
                    SelfNormWarning,
                    stacklevel=3,
                )
                return


def _departures(draft: Draft, before: Sequence[Draft]) -> Iterator[tuple[Draft, str, float]]:
    """What is wrong of a SELU layer and of the weights before it, as an audit judges."""
    for layer in before:
        for weights in layer.weights:
            if is_wrong(weights):
                yield layer, "tau", float(weights.tau.mean())
    mean, variance = draft.moments.overall()
    width, rows = max(len(draft.moments.units()[0]), 1), draft.moments.rows
    # Orthogonal weights hand the mean square on, whatever part of it the mean has.
    kept = any(np.isfinite(w.gram_error) for layer in before for w in layer.weights)
    if not kept and is_mean_off(mean, variance, width, rows):
        yield draft, "mean", mean
    if is_variance_off(variance, width, rows):
        yield draft, "variance", variance


def monitor(model: nn.Module, every: int = EVERY, *, writer: Writer | None = None) -> Monitor:
    """Watch a network while it trains: moments, weights and gradient gain of every n-th step.

    A step is a call of the model in training mode with gradients, the first one after an optimizer
    has updated its weights: two calls in a step, as of a discriminator or of twins, are one, and
    the first is watched. The n-th one runs as in an `audit`, its gradients are those of the
    training itself; the others cost one hook. Nothing that the training computes changes. Of
    weights near orthogonal ones, as `selfnorm.optim` keeps them, `|A^T A / s**2 - I|` is recorded
    too.

    Args:
        model: The network; compiled and parallel ones are looked at from inside.
        every: Watch the first step and every n-th from there.
        writer: Gets each figure by `add_scalar(tag, value, step)`, as a
            `torch.utils.tensorboard.SummaryWriter` takes them.

    Returns:
        A `Monitor`, a context manager: `m.history` is a pandas table, `m.records` a list of
        `Observation`, `m.plot()` a figure. It warns once, with a `SelfNormWarning`, when the
        conditions of theorem 1 are left by more than chance, as `audit` judges that.

    Raises:
        ArgumentError: `every` is below 1.
        UnsupportedError: `model` is not a module.

    Source: Klambauer et al. 2017, theorem 1.

    Example:
        >>> import selfnorm
        >>> model = selfnorm.nn.MLP(16, 1, width=256, depth=3)
        >>> optimizer = torch.optim.SGD(model.parameters(), 1e-3)
        >>> with monitor(model, every=2) as m:
        ...     for _ in range(4):
        ...         optimizer.zero_grad()
        ...         model(torch.randn(256, 16)).square().mean().backward()
        ...         optimizer.step()
        >>> sorted({record.step for record in m.records})
        [0, 2]
    """
    return Monitor(model, every, writer)
