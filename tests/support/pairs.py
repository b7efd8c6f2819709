"""The table of networks that run on torch, JAX and Keras, and how their audits are compared."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

import selfnorm
from selfnorm.auditing import Report
from selfnorm.recording import Layer

ROWS, WIDTH = 128, 24
FIGURES = 1e-4  # what the two frameworks' sums may differ by, relative to the figure or to 1
X = np.random.default_rng(0).standard_normal((ROWS, WIDTH)).astype(np.float32)
MODULES: dict[str, nn.Module] = {
    "selu": nn.SELU(),
    "own selu": selfnorm.nn.SELU(),
    "relu": nn.ReLU(),
    "tanh": nn.Tanh(),
    "by hand": nn.SELU(),
}


def layers(depth: int, change: Callable[[Sequence[nn.Linear]], object]) -> list[nn.Linear]:
    torch.manual_seed(1)
    found = [nn.Linear(WIDTH, WIDTH) for _ in range(depth)]
    for layer in found:
        selfnorm.init.initialize_(layer)
    with torch.no_grad():
        change(found)
    return found


def in_torch(found: Sequence[nn.Linear], activation: str = "selu") -> nn.Module:
    """The layers with an activation between them."""
    return nn.Sequential(*[part for layer in found for part in (layer, MODULES[activation])][:-1])


def arrays(found: Sequence[nn.Linear]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Kernel and bias of each, as JAX and Keras have them: inputs first."""
    return [
        (layer.weight.detach().T.numpy().copy(), layer.bias.detach().numpy().copy())
        for layer in found
    ]


def nothing(_: object) -> None:
    pass


def default(found: Sequence[nn.Linear]) -> None:
    for layer in found:
        layer.reset_parameters()


def one_wrong(found: Sequence[nn.Linear]) -> None:
    nn.init.kaiming_normal_(found[1].weight)


def biased(found: Sequence[nn.Linear]) -> None:
    nn.init.constant_(found[0].bias, 0.7)


def grown(found: Sequence[nn.Linear]) -> None:
    found[2].weight *= 2.6


def dead(found: Sequence[nn.Linear]) -> None:
    nn.init.constant_(found[1].bias, -60.0)


def orthogonal(found: Sequence[nn.Linear]) -> None:
    for layer in found:
        selfnorm.init.lecun_orthogonal_(layer.weight)


PAIRS = {
    "right": (nothing, "selu", X),
    "own": (nothing, "own selu", X),
    "by hand": (nothing, "by hand", X),
    "torch's default": (default, "selu", X),
    "one wrong": (one_wrong, "selu", X),
    "biased": (biased, "selu", X),
    "grown": (grown, "selu", X),
    "dead": (dead, "selu", X),
    "orthogonal": (orthogonal, "selu", X),
    "pixels": (nothing, "selu", (abs(X) % 1).astype(np.float32)),
    "relu": (nothing, "relu", X),
    "tanh": (nothing, "tanh", X),
}


def verdict(report: Report) -> list[tuple[str, str]]:
    return [(finding.rule, finding.severity) for finding in report.findings]


def figures(layer: Layer) -> list[float]:
    found = [layer.mean, layer.variance, layer.dead, layer.saturated, layer.data_gain]
    found += [layer.tau, layer.omega_size, layer.correlation_size, layer.kurtosis]
    for moments in (layer.predicted, layer.local):
        found += [np.nan] * 2 if moments is None else [float(value) for value in moments]
    return [*found, *(w.gram_error for w in layer.weights), *layer.bias[:3]]


def assert_alike(ours: Report, theirs: Report, slopes: float = 0.0) -> None:
    """Verdicts, layers and figures; gradients may differ by `slopes`, where units are dead."""
    assert verdict(ours) == verdict(theirs)
    assert ours.recording.rows == theirs.recording.rows
    for mine, other in zip(ours.layers, theirs.layers, strict=True):
        for name in ("role", "activation", "inputs", "shape", "dtype", "non_finite"):
            assert getattr(mine, name) == getattr(other, name), (mine.name, name)
        a, b = figures(mine), figures(other)
        np.testing.assert_allclose(a, b, rtol=FIGURES, atol=FIGURES, err_msg=mine.name)
        a, b = ([layer.gradient, layer.gradient_in, layer.gradient_norm] for layer in (mine, other))
        np.testing.assert_allclose(a, b, rtol=FIGURES, atol=slopes, err_msg=mine.name)
    for mine, other in zip(ours.features, theirs.features, strict=True):
        assert (mine.reader, mine.rows, mine.low) == (other.reader, other.rows, other.low)
        np.testing.assert_allclose(mine.variances, other.variances, rtol=FIGURES)
