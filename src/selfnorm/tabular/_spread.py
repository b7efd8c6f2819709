"""How far the networks of a model differ in what they say, by members and by masks of dropout."""

import copy
from collections.abc import Generator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from selfnorm._parameters import Whole
from selfnorm.errors import ArgumentError
from selfnorm.nn import SELUAlphaDropout
from selfnorm.tabular._blend import Blend
from selfnorm.tabular._ensemble import Ensemble
from selfnorm.tabular.encoding._prediction import Prediction
from selfnorm.tabular.encoding._several import NumbersTarget
from selfnorm.tabular.encoding._target import Target

_DRAWS = Whole(0)
_PROBES, _MASKS = 1024, 20  # rows, and how often each is asked


class Spread(NamedTuple):
    """What several networks, or one under several masks, say of rows.

    The prediction is by the networks' weights. The deviation counts each the same: where all weight
    is one network's, others are still asked.

    Attributes:
        prediction: What they say together.
        deviation: The standard deviation between them: of numbers in their own unit, of the shape
            of `prediction.values`; of classes and labels of each probability.
    """

    prediction: Prediction
    deviation: np.ndarray


class Spreading:
    """Networks that are asked one by one.

    Args:
        network: Those of a model.
        target: What they say.
        blend: How much each counts; None for a single network.
        draws: Under how many masks of alpha dropout each of finite width is asked; 0 for none.
        seed: Of the masks.

    Raises:
        ArgumentError: `draws` is no whole number of 0 or more, or there is no dropout to draw.
    """

    def __init__(
        self, network: nn.Module, target: Target, blend: Blend | None, draws: int, seed: int
    ) -> None:
        if not _DRAWS.holds(draws):
            raise ArgumentError(f"mc must be {_DRAWS}; {draws!r} came. Try mc=50.")
        self._network, self._target, self._draws = copy.deepcopy(network).double(), target, draws
        self._blend = blend or Blend.equal(1)
        dropouts = [one for one in self._network.modules() if isinstance(one, SELUAlphaDropout)]
        self._dropouts = [one for one in dropouts if one.p]
        if draws and not self._dropouts:
            raise ArgumentError(
                "Monte Carlo predictions differ by their dropout; this model has none. Fit one "
                "with dropout above 0, or leave out mc."
            )
        device = next(self._network.parameters()).device
        self._generator = torch.Generator(device).manual_seed(seed)
        asked = draws and target.task == "regression"
        self._factors = self._unshrunk() if asked else [np.ones(1)] * len(self._networks)

    def __call__(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of encoded rows, (rows, features): the mean as outputs, and the deviation."""
        total = first = square = offset = np.zeros(())
        draws = max(self._draws, 1)
        with self._masked(), torch.inference_mode():
            x = torch.from_numpy(rows).to(next(self._network.parameters()))
            fixed = self._infinite(x)
            for draw in range(draws):
                drawn = zip(self._finite(x), self._factors, strict=True)
                outputs = np.concatenate([*(one * by for one, by in drawn), *fixed], axis=1)
                total = total + self._blended(outputs)
                said = self._target.said_array(self._blend.sharpness * outputs)
                if not draw:  # squares of small differences are exact
                    offset = said.mean(1)
                apart = said - offset[:, None]
                first = first + apart.mean(1)
                square = square + np.square(apart).mean(1)
        variance = np.maximum(square / draws - (first / draws) ** 2, 0)
        return self._target.heard_array(total / draws), np.sqrt(variance) * self._unit

    @property
    def _unit(self) -> np.ndarray:
        """What the outputs are measured in."""
        if isinstance(self._target, NumbersTarget):
            return np.asarray(self._target.deviations)
        return np.asarray(getattr(self._target, "deviation", 1.0))

    def _blended(self, outputs: np.ndarray) -> np.ndarray:
        """What all together say: probabilities, or standardized numbers."""
        return self._target.said_array(self._blend.of_arrays(self._target, outputs))

    @property
    def _networks(self) -> tuple[torch.nn.Module, ...]:
        return self._network.finite if isinstance(self._network, Ensemble) else (self._network,)

    def _unshrunk(self) -> list[np.ndarray]:
        """Factors for the outputs of those of finite width, (outputs,) of each shape.

        Numbers are scaled for networks without masks, and under masks they go less far. By how much
        is told by rows of normal features, as the encoder's have mean 0 and variance 1.
        """
        weight = next(self._network.parameters())
        x = torch.randn(_PROBES, weight.shape[-1], generator=torch.Generator().manual_seed(0))
        x = x.to(weight)
        with torch.inference_mode():
            right = self._finite(x)
            with self._masked():
                drawn = [self._finite(x) for _ in range(_MASKS)]
        told = (np.mean(each, axis=0) for each in zip(*drawn, strict=True))
        return [_slope(one, other) for one, other in zip(right, told, strict=True)]

    def _finite(self, x: torch.Tensor) -> list[np.ndarray]:
        """The outputs of those of finite width, (rows, networks, outputs) of each shape."""
        if not isinstance(self._network, Ensemble):
            return [self._network(x).numpy(force=True)[:, None]]
        return [one(x).transpose(0, 1).numpy(force=True) for one in self._networks]

    def _infinite(self, x: torch.Tensor) -> list[np.ndarray]:
        """Those of infinite width, which have no dropout."""
        joined = self._network.joined if isinstance(self._network, Ensemble) else ()
        return [one(x).numpy(force=True)[:, None] for one in joined]

    @contextmanager
    def _masked(self) -> Generator[None]:
        """Inside, dropout is on if masks are to be drawn."""
        for one in self._dropouts:
            one.train(bool(self._draws))
            one.generator = self._generator
        try:
            yield
        finally:
            for one in self._dropouts:
                one.eval()
                one.generator = None


def _slope(right: np.ndarray, told: np.ndarray) -> np.ndarray:
    """By what each output is to be multiplied to be right, as nearly as one factor can."""
    both, own = ((right * told).sum((0, 1)), np.square(told).sum((0, 1)))
    return np.divide(both, own, out=np.ones_like(own), where=own > 0)
