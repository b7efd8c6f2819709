"""A callback for Lightning, which calls `training_step` and not the model."""

from typing import Any

from torch import nn

from selfnorm._lightning import callback_class
from selfnorm.recording._observation import EVERY
from selfnorm.watch._monitor import Monitor, Writer


def lightning_callback(
    every: int = EVERY, *, writer: Writer | None = None, module: str = ""
) -> Any:
    """A Lightning callback that watches the layers in every n-th training batch.

    Works with `lightning` and with `pytorch_lightning`, whichever is installed. Its `monitor` is
    the `Monitor`, as soon as the training has begun.

    Args:
        every: As for `monitor`.
        writer: Likewise. A `TensorBoardLogger`'s `experiment` is one.
        module: Watch this part of the LightningModule; all of it if empty.

    Raises:
        UnsupportedError: Neither package is installed.
    """
    kind = type("MonitorCallback", (_Watching, callback_class()), {})
    return kind(every, writer, module)


class _Watching:
    """Opens the monitor for each batch, from its start to the backward pass."""

    def __init__(self, every: int, writer: Writer | None, module: str) -> None:
        super().__init__()
        self.monitor: Monitor | None = None
        self._every, self._writer, self._module = every, writer, module

    def on_train_start(self, _trainer: object, pl_module: nn.Module) -> None:
        """Find the part to watch."""
        watched = pl_module.get_submodule(self._module) if self._module else pl_module
        self.monitor = Monitor(watched, self._every, self._writer)

    def on_train_batch_start(
        self, _trainer: object, _module: object, batch: object, _index: int
    ) -> None:
        """A step begins."""
        if self.monitor is not None:
            self.monitor.step(batch)

    def on_before_backward(self, *_: object) -> None:
        """The forward pass is over."""
        if self.monitor is not None:
            self.monitor.shut()

    def on_train_batch_end(self, *_: object, **__: object) -> None:
        """So is the step, however it went."""
        self.on_before_backward()

    def on_train_end(self, *_: object) -> None:
        """Finish the last record, and leave no hook behind."""
        if self.monitor is not None:
            self.monitor.close()

    def on_exception(self, *_: object) -> None:
        """The same after an error."""
        self.on_train_end()
