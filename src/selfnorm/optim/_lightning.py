"""A callback for Lightning, which makes the optimizers itself."""

from typing import Any

from torch import nn

from selfnorm._lightning import callback_class
from selfnorm.optim._choose import Names
from selfnorm.optim._convolutions import Convolutions
from selfnorm.optim._keep import Every, OrthogonalHandle, Tolerance, keep_orthogonal


def lightning_callback(
    *,
    include: Names | None = None,
    exclude: Names | None = None,
    tolerance: Tolerance = "auto",
    every: Every = "auto",
    convolutions: Convolutions = "matrices",
    module: str = "",
) -> Any:
    """A Lightning callback that keeps the weights of the hidden layers orthogonal.

    Works with `lightning` and with `pytorch_lightning`, whichever is installed. Its `kept` holds an
    `OrthogonalHandle` for each optimizer that trains a part of the model, as soon as the training
    has begun.

    Args:
        include: As for `keep_orthogonal`.
        exclude: Likewise.
        tolerance: Likewise.
        every: Likewise.
        convolutions: Likewise.
        module: Keep this part of the LightningModule; all of it if empty.

    Raises:
        UnsupportedError: Neither package is installed.
    """
    kind = type("KeepOrthogonalCallback", (_Keeping, callback_class()), {})
    options = {
        "include": include,
        "exclude": exclude,
        "tolerance": tolerance,
        "every": every,
        "convolutions": convolutions,
    }
    return kind(options, module)


class _Keeping:
    """Keeps them from the start of a fit, when its optimizers are there, to its end."""

    def __init__(self, options: dict[str, Any], module: str) -> None:
        super().__init__()
        self.kept: list[OrthogonalHandle] = []
        self._options, self._module = options, module

    def on_fit_start(self, trainer: Any, pl_module: nn.Module) -> None:
        """Before a checkpoint's state is loaded into the optimizers."""
        part = pl_module.get_submodule(self._module) if self._module else pl_module
        own = {id(parameter) for parameter in part.parameters()}
        self.kept = [
            keep_orthogonal(optimizer, part, **self._options)
            for optimizer in trainer.optimizers
            if any(id(p) in own for group in optimizer.param_groups for p in group["params"])
        ]

    def on_fit_end(self, *_: object) -> None:
        """Leave no hook behind."""
        for kept in self.kept:
            kept.remove()

    def on_exception(self, *_: object) -> None:
        """The same after an error."""
        self.on_fit_end()
