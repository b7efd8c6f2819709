"""After each step of an optimizer, bring the hidden weights back to orthogonal ones."""

import math
import warnings
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Literal, get_args
from weakref import WeakKeyDictionary, WeakSet

import torch
from torch import Tensor, nn

from selfnorm._parameters import Number, Whole
from selfnorm.errors import ArgumentError, SelfNormWarning
from selfnorm.optim._choose import Chosen, Names, choose
from selfnorm.optim._convolutions import Convolutions
from selfnorm.optim._stack import Stack, error_of, size_of_kernels, stacked

Every = int | Literal["auto"]
Tolerance = float | Literal["auto"]

_STATE = "selfnorm_keep_orthogonal"  # in the optimizer's state_dict
_EXACT = 1e-6
_LEFT = 0.25  # of the tolerance, by a correction
_LONGEST = 100
_FAR = 0.5  # of a kernel, at the call
_SHALLOW = 16  # weights
_ROUNDINGS = 8  # of the dtype, which the tolerance must exceed

# Neither holds the other, so that both go when their owner lets them go.
_handles: "WeakKeyDictionary[torch.optim.Optimizer, WeakSet[OrthogonalHandle]]" = (
    WeakKeyDictionary()
)


def keep_orthogonal(
    optimizer: torch.optim.Optimizer,
    model: nn.Module,
    *,
    include: Names | None = None,
    exclude: Names | None = None,
    tolerance: Tolerance = "auto",
    every: Every = "auto",
    convolutions: Convolutions = "matrices",
) -> "OrthogonalHandle":
    r"""Keep the weights of a model's hidden layers orthogonal while an optimizer trains it.

    A layer whose weights are orthogonal keeps the mean square of *every* input, whatever the
    correlations, if it has no fewer units than inputs; so in training it can amplify no direction,
    and SELU's map holds step after step, not at the start only. With fewer units it keeps the mean
    square on average over directions, and multiplies that of one by `inputs / units` at most. With
    singular values s, each matrix A of a layer (units x inputs, at LeCun's scale: `s**2 =
    max(units, inputs) / fan_in`) is brought back by

        A <- A - A (A^T A / s**2 - I) / 2

    once it has been so many steps that `|A^T A / s**2 - I|`, the spectral norm, comes near
    `tolerance`: what it had become by the last correction tells how many. All matrices of one shape
    are corrected together. At the call itself weights become the nearest orthogonal ones, so
    LeCun-normal weights need nothing more; `selfnorm.init.initialize_(distribution="orthogonal")`
    starts there. Recurrent weights count gate by gate, attention's projection by projection.

    Convolutions count as matrices `out x (in * kernel)` by group. This is no isometry of the image,
    as windows overlap: patterns that repeat may be amplified. With `convolutions="operators"` those
    of stride 1 are kept orthogonal as operators: `F(w) = sum_t K_t exp(-i w t)`, by which a kernel
    multiplies waves, is corrected at every frequency, and cut to the kernel's taps again. `s**2` is
    `max(out, in) / in` then. With circular padding `|Wx| = s |x|` holds for every image if `out` is
    not below `in`; with zeros, or none, `|Wx| <= s |x|`, as what leaves over the border is lost. It
    has to start there, from `selfnorm.init.initialize_(distribution="isometric")`: from square
    kernels at random 1,000 iterations find no orthogonal operator.

    What remembers the interval is in the optimizer's `state_dict`, so a training goes on after a
    checkpoint as it would have without: make the optimizer, call this, then load. A step that a
    `GradScaler` skips moves nothing. Processes with the same weights decide and compute the same.

    Args:
        optimizer: Any of torch's, or of its protocol; its step is followed by the correction.
        model: What it trains, compiled or not, wrapped in `DistributedDataParallel` or not.
        include: Names of modules and parameters to keep; if None, all weights of the layers that
            `initialize_` knows but the output's, which is the last in `named_modules` and whose
            size is the network's to learn.
        exclude: Names of modules and parameters not to keep.
        tolerance: How far the squares of singular values, relative to `s**2`, may be from 1, at
            most .5. An optimizer that moves them farther in one step is corrected after each. If
            "auto", .25 for up to 16 weights, and for more `4 / weights`, at most .09; beyond 178
            `.3 / sqrt(weights)`. What the layers of a deep network gain adds up: at 100 layers .1
            lets variances reach 2, .04 holds 1.3.
        every: Correct after so many steps; or "auto".
        convolutions: Keep those of stride 1, and not transposed, as "matrices" or "operators".

    Returns:
        An `OrthogonalHandle`: `error` is how far each weight is, `remove()` ends it.

    Raises:
        ArgumentError: Nothing is left to keep, a name is none of the model's, a weight is kept
            already, weights are not finite, or `tolerance`, `every` or `convolutions` is none of
            those above; the tolerance is finer than a weight's dtype can hold (bfloat16: .0625); or
            a kernel is about .5 or more from an orthogonal operator.
        UnsupportedError: Another thing than an optimizer and a model came.

    Warns:
        SelfNormWarning: Weights are left out: parametrized, complex, sharded or tied to an
            embedding; or weight decay applies to kept weights, where it has no effect, as their
            size is restored. In training: weights are no longer finite, and are left as they are.

    Source: Björck and Bowie 1971, *An iterative algorithm for computing the best estimate of an
    orthogonal matrix*; Saxe et al. 2014 and Pennington et al. 2017, for what orthogonal weights do;
    Xiao et al. 2018 and Li et al. 2019 (arXiv 1806.05393, 1911.00937), for convolutions.

    Example:
        >>> model = nn.Sequential(nn.Linear(16, 32), nn.SELU(), nn.Linear(32, 2))
        >>> optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        >>> kept = keep_orthogonal(optimizer, model, every=1)
        >>> for _ in range(5):
        ...     model(torch.randn(8, 16)).square().mean().backward()
        ...     optimizer.step()
        >>> list(kept.error), max(kept.error.values()) < 0.1
        (['0.weight'], True)
    """
    _check_options(tolerance, every, convolutions)
    operators = convolutions == "operators"
    choice = choose(optimizer, model, include, exclude, operators=operators)
    if tolerance == "auto":
        tolerance = _tolerance_for(choice.weights)
    _check_weights(optimizer, choice.weights, tolerance)
    kept = OrthogonalHandle(optimizer, choice.weights, tolerance, every)
    if choice.left:
        warnings.warn(
            f"keep_orthogonal leaves weights as they are: {choice}. Name them in exclude if this "
            "is wanted.",
            SelfNormWarning,
            stacklevel=2,
        )
    if kept.decayed():
        warnings.warn(
            "Weight decay has no effect on weights whose size is restored; "
            f"{', '.join(kept.decayed()[:3])} are decayed. Put them into a parameter group with "
            "weight_decay=0.",
            SelfNormWarning,
            stacklevel=2,
        )
    return kept


class OrthogonalHandle:
    """Weights that are kept orthogonal, until `remove()`; a context manager, too.

    Attributes:
        names: The weights' names in the model.
        tolerance: As given, or as was found for the network.
        interval: Steps from one correction to the next, at present.
        corrections: How many there were.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        weights: Sequence[Chosen],
        tolerance: float,
        every: Every,
    ) -> None:
        self.names = [weight.name for weight in weights]
        self.tolerance = tolerance
        self.interval = 1 if every == "auto" else every
        self.corrections = 0
        self._adapts = every == "auto"
        self._steps = 0  # since the last correction
        self._optimizer, self._weights = optimizer, weights
        self._lost: set[str] = set()
        self._stacks: list[Stack] = []
        self._where: list[int] = []
        with torch.no_grad():
            for stack in self._found():
                stack.correct(_EXACT)
        self._hooks = [
            optimizer.register_step_post_hook(self._after_step),
            optimizer.register_state_dict_post_hook(self._save),
            optimizer.register_load_state_dict_pre_hook(self._load),
        ]
        _handles.setdefault(optimizer, WeakSet()).add(self)

    @property
    def error(self) -> dict[str, float]:
        """The spectral norm of `A^T A / s**2 - I` by weight, the largest of its matrices.

        Of operators `F(w)^H F(w) / s**2 - I`, the largest of `2 (2 k - 1)` frequencies along each
        dimension of k taps. Between them it is at most sqrt(2) times that for each dimension.
        """
        return {weight.name: error_of(weight.matrices()) for weight in self._weights}

    def correct(self) -> None:
        """Bring the weights back now, however long ago the last correction was."""
        with torch.no_grad():
            size = max(self._reported(stack) for stack in self._found())
        self._steps = 0
        self.corrections += 1
        if self._adapts:
            factor = min(self.tolerance / max(size, 1e-30), 2.0)
            self.interval = min(max(math.floor(self.interval * factor), 1), _LONGEST)

    def remove(self) -> None:
        """Keep them no longer; they stay as they are."""
        for hook in self._hooks:
            hook.remove()
        _handles.get(self._optimizer, WeakSet[OrthogonalHandle]()).discard(self)

    def decayed(self) -> list[str]:
        """Weights to which the optimizer applies weight decay."""
        decayed = {
            id(p)
            for group in self._optimizer.param_groups
            if group.get("weight_decay")
            for p in group["params"]
        }
        return [w.name for w in self._weights if id(w.parameter) in decayed]

    def holds(self, parameter: Tensor) -> bool:
        """Whether it is one of these weights."""
        return any(weight.parameter is parameter for weight in self._weights)

    def _after_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        self._steps += 1
        if self._steps >= self.interval and not _was_skipped(optimizer):
            self.correct()

    def _found(self) -> list[Stack]:
        """The weights where they are: `model.to` and `load_state_dict(assign=True)` move them."""
        where = [weight.parameter.data_ptr() for weight in self._weights]
        if where != self._where:
            self._stacks = stacked([(w.name, w.matrices()) for w in self._weights])
            self._where = where
        return self._stacks

    def _reported(self, stack: Stack) -> float:
        size, lost = stack.correct(_LEFT * self.tolerance)
        new = sorted(set(lost) - self._lost)
        if new:
            self._lost.update(new)
            warnings.warn(
                f"Weights are no longer finite and left as they are: {', '.join(new)}. "
                "A smaller learning rate, or clipped gradients, would keep them so.",
                SelfNormWarning,
                stacklevel=2,
            )
        return size

    def _save(self, _optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
        state.setdefault(_STATE, {})["\n".join(self.names)] = {
            "interval": self.interval,
            "steps": self._steps,
        }

    def _load(self, _optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
        saved = state.get(_STATE, {}).get("\n".join(self.names))
        if saved is not None:
            self._steps = int(saved["steps"])
            if self._adapts:
                self.interval = int(saved["interval"])

    def __enter__(self) -> "OrthogonalHandle":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()

    def __repr__(self) -> str:
        return (
            f"OrthogonalHandle({len(self.names)} weights, tolerance={self.tolerance}, "
            f"interval={self.interval}, corrections={self.corrections})"
        )


def _tolerance_for(weights: Sequence[Chosen]) -> float:
    """What holds the variance of so many layers, and what their dtype can hold."""
    finest = max(_finest(weight) for weight in weights)
    count = len(weights)
    if count <= _SHALLOW:
        return max(0.25, finest)
    return max(min(0.09, max(4 / count, 0.3 / math.sqrt(count))), finest)


def _finest(weight: Chosen) -> float:
    return _ROUNDINGS * torch.finfo(weight.parameter.dtype).eps


def _was_skipped(optimizer: torch.optim.Optimizer) -> bool:
    """Whether a step did nothing, as gradients were infinite.

    `GradScaler` does not call other optimizers then; fused ones it tells by this attribute.
    """
    found = getattr(optimizer, "found_inf", None)
    return isinstance(found, Tensor) and bool(found.item())


def _check_options(tolerance: object, every: object, convolutions: object) -> None:
    if tolerance != "auto" and not Number(0.0, 0.5, open_low=True).holds(tolerance):
        raise ArgumentError(
            f"tolerance is how far squares of singular values may be from 1, above 0 and at most "
            f".5, or 'auto'; got {tolerance!r}. Leave it out for what the depth asks."
        )
    if every != "auto" and not Whole(1).holds(every):
        raise ArgumentError(
            f"every is a whole number of steps, 1 or more, or 'auto'; got {every!r}. Choose one."
        )
    if convolutions not in get_args(Convolutions):
        raise ArgumentError(
            f"convolutions are kept as 'matrices' or 'operators'; got {convolutions!r}. Choose one."
        )


def _check_weights(
    optimizer: torch.optim.Optimizer, weights: Sequence[Chosen], tolerance: float
) -> None:
    """Raise for what cannot be kept so, before anything is written."""
    before = list(_handles.get(optimizer, ()))
    for weight in weights:
        if any(kept.holds(weight.parameter) for kept in before):
            raise ArgumentError(
                f"A weight is kept once; {weight.name!r} is kept already by this optimizer. "
                "Call remove() on what the first call returned, or name other weights in include."
            )
        finest = _finest(weight)
        if tolerance < finest:
            raise ArgumentError(
                f"Weights of {weight.parameter.dtype} are rounded to within {finest:.3g} of "
                f"orthogonal ones; got tolerance={tolerance:g} for {weight.name!r}. Give a larger "
                "one, or keep the weights in float32 and compute under torch.autocast."
            )
        if not bool(weight.parameter.isfinite().all()):
            raise ArgumentError(
                f"Weights that are kept are finite numbers; {weight.name!r} holds others. "
                "Initialize the model anew with selfnorm.init.initialize_."
            )
        if weight.operator and (far := size_of_kernels(weight.matrices())) >= _FAR:
            raise ArgumentError(
                "From far away the nearest orthogonal convolution cannot be found; the squares of "
                f"singular values of {weight.name!r} are about {far:.2g} from 1. Start from "
                'selfnorm.init.initialize_(model, distribution="isometric"), load weights that '
                "were kept so before this call, or leave convolutions out."
            )
