"""Variants of our estimator for `ablations`: each makes an estimator from its class and settings.

What is more than a setting is a function here, which may return anything that fits and predicts.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from selfnorm.tabular import _fit, _join, _scaled, _train
from selfnorm.tabular._ensemble import Judged
from selfnorm.tabular._kernel import LAYERS
from selfnorm.tabular.encoding import _number

Variant = Callable[[type, dict[str, Any]], Any]
DEFAULT = "default"
ALONE = {"infinite": False, "weights": "lecun"}  # where layers are compared, and nothing besides


def settings(**changes: Any) -> Variant:
    """The estimator with other settings."""
    return lambda estimator, given: estimator(**given | changes)


def layers(gain: float, make: Callable[[float], nn.Module], **changes: Any) -> Variant:
    """The estimator with other activations in its networks of finite width, and their weights.

    Args:
        gain: What LeCun's standard deviation is multiplied by.
        make: From the rate of dropout to what stands behind each hidden layer.
        **changes: Settings.
    """

    def build(*args: Any, **more: Any) -> nn.Module:
        network = original(*args, **more)
        for name, module in list(network.named_children()):
            if name.startswith("selu"):
                setattr(network, name, make(module.p))
            elif name.startswith("linear"):
                with torch.no_grad():
                    module.weight.mul_(gain)
        return network

    original = _train.build_network
    return within((_train, "build_network", build), **ALONE | changes)


def within(*others: tuple[Any, str, Any], **changes: Any) -> Variant:
    """The estimator fitted and asked with other parts: (where, name, what stands there)."""

    def variant(estimator: type, given: dict[str, Any]) -> Any:
        class Other(estimator):
            def fit(self, X: Any, y: Any) -> Any:
                with exchanged(others):
                    return super().fit(X, y)

            def _predict(self, X: Any) -> Any:
                with exchanged(others):
                    return super()._predict(X)

        return Other(**given | changes)

    return variant


@contextmanager
def exchanged(others: Iterable[tuple[Any, str, Any]]) -> Iterator[None]:
    """Inside, other parts stand in place of ours."""
    with ExitStack() as stack:
        for place, name, other in others:
            stack.enter_context(mock.patch.object(place, name, other))
        yield


class Smoothed(Judged):
    """Networks learn classes of which each has a share of a tenth everywhere."""

    def loss(self, outputs: Tensor, *known: Tensor) -> Tensor:
        """Of rows to learn from; of rows that validate as it is."""
        said, (goals, *_), alone = self._pairs(outputs, known)
        if not alone or self.target.task == "regression":
            return super().loss(outputs, *known)
        return nn.functional.cross_entropy(said, goals, label_smoothing=0.1)


def unscaled(_target: Any, outputs: Tensor, *_known: Tensor) -> Tensor:
    """No factor on what networks of finite width say, but for the sharpness of all together."""
    return outputs.new_ones(outputs.shape[1])


def constant(optimizer: torch.optim.Optimizer, _: int) -> Any:
    """No schedule: the learning rate stays."""
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)


def refitted(estimator: type, given: dict[str, Any]) -> Any:
    """Networks of finite width that learn again, from all rows, for as long as was best."""

    class Other(estimator):
        def fit(self, X: Any, y: Any) -> Any:
            super().fit(X, y)
            best = self.history_.best.number
            again = estimator(**given | {"validation": 0, "infinite": False, "epochs": best})
            self.model_.network.networks = again.fit(X, y).model_.network.networks
            return self

    return Other(**given)


class Normed(nn.Module):
    """ReLU behind a normalization over units, or of each unit over rows, and dropout."""

    def __init__(self, over: int, rate: float) -> None:
        super().__init__()
        self.over, self.rate = over, rate
        self.means: Tensor | None = None
        self.scales: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Take (members, rows, units); over rows, running moments serve in evaluation."""
        if self.over == -1:
            x = (x - x.mean(-1, keepdim=True)) / (
                x.var(-1, keepdim=True, correction=0) + 1e-5
            ).sqrt()
        else:
            x = self._by_rows(x)
        return nn.functional.dropout(torch.relu(x), self.rate, self.training)

    def _by_rows(self, x: Tensor) -> Tensor:
        if self.training or self.means is None:
            mean, scale = x.mean(-2, keepdim=True), x.var(-2, keepdim=True, correction=0)
            with torch.no_grad():
                share = 1.0 if self.means is None else 0.1
                self.means = mean.detach() if share == 1 else self.means.lerp(mean, share)
                self.scales = scale.detach() if share == 1 else self.scales.lerp(scale, share)
        else:
            mean, scale = self.means.to(x), self.scales.to(x)
        return (x - mean) / (scale + 1e-5).sqrt()


def plain(activation: Callable[[], nn.Module]) -> Callable[[float], nn.Module]:
    """An activation with dropout behind it."""
    return lambda rate: nn.Sequential(activation(), nn.Dropout(rate))


VARIANTS: dict[str, Variant] = {
    DEFAULT: settings(),
    **{f"preset={value}": settings(preset=value) for value in ("fast", "best")},
    "finite": settings(infinite=False),
    "finite LeCun": settings(**ALONE),
    "finite ReLU": layers(2**0.5, plain(nn.ReLU)),
    "finite Mish": layers(2**0.5, plain(nn.Mish)),
    "finite plain dropout": layers(1.0, plain(nn.SELU)),
    "finite LayerNorm": layers(1.0, lambda rate: Normed(-1, rate)),
    "finite BatchNorm": layers(1.0, lambda rate: Normed(-2, rate)),
    "numbers in no pieces": within((_fit, "PIECES", 0)),
    "layers in place of waves": within((_join, "WAVES", (LAYERS,))),
    "numbers not bent": within((_number, "_bent", lambda values, _: values.copy())),
    "label smoothing": within((_train, "Judged", Smoothed)),
    "constant rate": within((torch.optim.lr_scheduler, "CosineAnnealingLR", constant)),
    "not scaled": within((_scaled, "factors", unscaled)),
    "refitted": refitted,
    **{f"n_estimators={value}": settings(n_estimators=value) for value in (1, 4, 16, 32)},
    **{f"weights={value}": settings(weights=value) for value in ("lecun", "orthogonal")},
    **{f"depth={value}": settings(depth=value) for value in (1, 4, 8, 16)},
    **{f"dropout={value}": settings(dropout=value) for value in (0.0, 0.02, 0.2)},
    **{f"weight_decay={value}": settings(weight_decay=value) for value in (0.0, 0.1)},
}
