"""Which modules become which."""

import math

from torch import nn

from selfnorm.nn import SELU, AlphaDropout, FeatureAlphaDropout, SELUAlphaDropout
from selfnorm.theory import dropout_budget

ACTIVATIONS: tuple[type[nn.Module], ...] = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.CELU, nn.GELU, nn.SiLU,
    nn.Mish, nn.Softplus, nn.Hardswish, nn.Hardtanh, nn.Softsign, nn.Tanh,
)  # fmt: skip
"""What `convert` replaces by SELU where a layer with weights follows."""

OTHERS: tuple[type[nn.Module], ...] = (
    nn.Sigmoid, nn.Hardsigmoid, nn.LogSigmoid, nn.GLU, nn.Softshrink, nn.Hardshrink, nn.Tanhshrink,
    nn.Threshold, nn.Softmin,
)  # fmt: skip
"""Gates, and shapes that SELU does not stand for: left, and said so."""

FUNCTIONS = frozenset(
    [
        "relu",
        "relu6",
        "leaky_relu",
        "prelu",
        "rrelu",
        "elu",
        "celu",
        "gelu",
        "silu",
        "mish",
        "softplus",
        "hardswish",
        "hardtanh",
        "softsign",
        "tanh",
    ]
)
SELUS = (nn.SELU, SELUAlphaDropout)
SELU_FUNCTIONS = frozenset(["selu", "selu_alpha_dropout"])
PASSING = (nn.Identity, nn.Flatten, nn.Unflatten)
"""What only moves what it is given."""

_USUAL = {
    *("eps=1e-05", "momentum=0.1", "affine=True", "bias=True", "track_running_stats=True"),
    *("inplace=False", "elementwise_affine=True"),
}
GATES = frozenset(["sigmoid", "hardsigmoid", "logsigmoid", "glu"])
PLAIN_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
ALPHA_DROPOUTS = (nn.AlphaDropout, nn.FeatureAlphaDropout, SELUAlphaDropout)
DROPOUT_FUNCTIONS = frozenset(["dropout", "dropout1d", "dropout2d", "dropout3d"])
WEIGHTED = (
    nn.Linear, nn.Bilinear, nn.Conv1d, nn.Conv2d, nn.Conv3d,
    nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
    nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention,
)  # fmt: skip


def contains_weights(module: nn.Module) -> bool:
    """Whether a layer with weights is in a module, torch's or anyone's."""
    return any(parameter.ndim > 1 for parameter in module.parameters())


def new_selu() -> nn.Module:
    """Not in place: with a norm before it gone, it might write into what others read."""
    return SELU()


def new_dropout(old: nn.Module | str, p: float) -> nn.Module:
    """Alpha dropout of single units or of channels, as the old one drops."""
    name = old if isinstance(old, str) else type(old).__name__.lower()
    if name in {"dropout", "alphadropout"}:
        return AlphaDropout(p)
    dims = {"dropout1d": 1, "dropout2d": 2, "dropout3d": 3}.get(name)
    return FeatureAlphaDropout(p, spatial_dims=dims)


def affordable(p: float, depth: int) -> float:
    """p, or the most that so many SELU layers can take, in full hundredths."""
    budget = math.floor(100 * dropout_budget(max(depth, 1))) / 100
    return p if p <= budget else budget


def kind_of(module: nn.Module) -> str:
    """As `print` shows it, in one line, without what seldom differs."""
    said = [part for part in module.extra_repr().split(", ") if part not in _USUAL]
    return f"{type(module).__name__}({', '.join(said)})"
