"""A monitor for trainings by Keras."""

from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np

from selfnorm import _extras
from selfnorm._parameters import Whole
from selfnorm.errors import ArgumentError
from selfnorm.keras._given import followed, tensors
from selfnorm.keras._untyped import keras
from selfnorm.keras.trace import Plan, record
from selfnorm.recording import Layer, Observation, Recording
from selfnorm.recording._observation import EVERY, table_of
from selfnorm.recording._quiet import quiet

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_ROLES = {"linear", "activation", "recurrent", "attention", "embedding", "addition"}


class Monitor(keras.callbacks.Callback):
    """Watch whether a network stays self-normalizing while Keras trains it.

    Before the first batch and every n-th from there the network is looked at as
    `selfnorm.keras.audit` does, on rows that are given once: so what changes is the network.

    Args:
        x: Rows to look at: some hundred, standardized as the training data are.
        every: Look before every so many batches.

    Attributes:
        records: A `selfnorm.recording.Observation` for each layer and look.

    Raises:
        ArgumentError: `every` is no whole number from 1.

    Source: Klambauer et al. 2017, theorem 1.

    Example:
        >>> layers = [keras.layers.Dense(16, activation="selu") for _ in range(2)]
        >>> model = keras.Sequential([keras.Input((16,)), *layers])
        >>> model.compile("sgd", "mse")
        >>> x = np.random.default_rng(0).standard_normal((64, 16))
        >>> monitor = Monitor(x, every=2)
        >>> _ = model.fit(x, x, batch_size=32, epochs=2, verbose=0, callbacks=[monitor])
        >>> sorted({seen.step for seen in monitor.records})
        [0, 2]
    """

    def __init__(self, x: Any, *, every: int = EVERY) -> None:
        super().__init__()
        if not Whole(1).holds(every):
            raise ArgumentError(
                f"every is a whole number of batches from 1; got {every!r}. Choose one."
            )
        self.x, self.every = x, every
        self.records: list[Observation] = []
        self._batches = 0
        self._looking: tuple[Plan, list[Any]] | None = None

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's
        """Look, if it is an n-th one."""
        if self._batches % self.every == 0:
            self._look(self._batches)
        self._batches += 1

    @property
    def history(self) -> "pd.DataFrame":
        """All records as a pandas table.

        Raises:
            UnsupportedError: pandas is not installed; `records` needs none.
        """
        return table_of(self.records)

    def plot(self) -> "Figure":
        """Variance, tau and gradient gain of each layer over the steps: a matplotlib figure."""
        with _extras.told():
            from selfnorm.plots._monitor import plot_monitor  # noqa: PLC0415 - matplotlib is slow
        return plot_monitor(self.records)

    def _look(self, step: int) -> None:
        model: Any = self.model
        if self._looking is None:
            inputs, given = tensors(model, self.x)
            self._looking = followed(model, given), inputs
        plan, inputs = self._looking
        seen = record(plan, inputs, type(model).__name__, None, {})
        hidden = {k.index for k in seen.before(*seen.layers) if seen.hidden(k)}
        self.records += [
            _observation(seen, layer, step, layer.index in hidden)
            for layer in seen.layers
            if layer.role in _ROLES
        ]


@quiet
def _observation(seen: Recording, layer: Layer, step: int, hidden: bool) -> Observation:
    sources = seen.sources(layer)
    single = len(sources) == len(layer.inputs) == 1 and layer.gradient_norm > 0
    ratio = sources[0].gradient_norm / layer.gradient_norm if single else nan
    errors = [weights.gram_error for weights in layer.weights] if hidden else []
    return Observation(
        step=step,
        layer=layer.name or "model",
        kind=layer.kind,
        mean=layer.mean,
        variance=layer.variance,
        omega=layer.omega_size,
        tau=layer.tau,
        gradient=layer.gradient,
        gain=ratio * ratio,
        gram_error=float(np.max(errors)) if errors else nan,
    )
