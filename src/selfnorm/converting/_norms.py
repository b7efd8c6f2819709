"""Normalization layers: folded into the layer before, removed, or kept."""

import inspect
from typing import cast

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from selfnorm.converting._flow import is_hooked, is_library, is_patched
from selfnorm.converting._rewritten import rewrite

BATCH = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
NORMS = (
    *BATCH, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm,
    nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d, nn.LocalResponseNorm,
)  # fmt: skip
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
FOLDS_INTO = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)


def nothing_for(norm: nn.Module) -> nn.Module:
    """What gives back what it is given, and takes what else the norm is called with."""
    named = list(inspect.signature(norm.forward).parameters.values())
    instead = nn.Identity()
    if len(named) > 1:
        graph = fx.Graph()
        first, *_ = [graph.placeholder(one.name, default_value=None) for one in named]
        graph.output(first)
        rewrite(instead, graph)
    return instead


def can_fold(layer: nn.Module, norm: nn.Module) -> bool:
    """Whether the norm, with the statistics it has gathered, is a part of the layer.

    Not of a layer that computes its weight (parametrized, by an older hook, by a `forward` of its
    own), nor where hooks see or change what goes between the two.
    """
    if not isinstance(layer, FOLDS_INTO) or not isinstance(norm, BATCH):
        return False
    if norm.running_mean is None or nn.utils.parametrize.is_parametrized(layer):
        return False
    if "weight" not in vars(layer)["_parameters"] or is_hooked(layer) or is_hooked(norm):
        return False
    if not is_library(layer) or is_patched(layer) or not _multiplies_as_torch(layer):
        return False
    if isinstance(layer, TRANSPOSED) and layer.groups > 1:
        return False
    outputs = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
    return outputs == norm.num_features


def _multiplies_as_torch(layer: nn.Module) -> bool:
    method = getattr(type(layer), "_conv_forward", None)
    return method is None or str(method.__module__).startswith("torch.")


@torch.no_grad()
def fold(layer: nn.Module, norm: nn.Module) -> None:
    """Write into the layer what the norm does in evaluation; the layer gets a bias if it had none.

    `y = (W x + b - mean) / sqrt(var + eps) * gamma + beta` is linear in x. The weight stays the
    parameter that it was.
    """
    norm, layer = cast("nn.BatchNorm2d", norm), cast("nn.Linear | nn.Conv2d", layer)
    mean, var = (exact(cast("Tensor", v)) for v in (norm.running_mean, norm.running_var))
    scale = torch.ones_like(var) if norm.weight is None else exact(norm.weight)  # pyright: ignore[reportUnnecessaryComparison]
    shift = torch.zeros_like(mean) if norm.bias is None else exact(norm.bias)  # pyright: ignore[reportUnnecessaryComparison]
    weight = exact(layer.weight)
    bias = None if layer.bias is None else exact(layer.bias)  # pyright: ignore[reportUnnecessaryComparison]
    if isinstance(layer, nn.Linear):
        weight, bias = fuse_linear_bn_weights(weight, bias, mean, var, norm.eps, scale, shift)
    else:
        weight, bias = fuse_conv_bn_weights(
            weight, bias, mean, var, norm.eps, scale, shift,
            transpose=isinstance(layer, TRANSPOSED),
        )  # fmt: skip
    layer.weight.copy_(weight)
    if layer.bias is None:  # pyright: ignore[reportUnnecessaryComparison]
        layer.bias = nn.Parameter(bias.to(layer.weight), requires_grad=layer.weight.requires_grad)
    else:
        layer.bias.copy_(bias)


def exact(tensor: Tensor) -> Tensor:
    """In float64, as half precision would lose the equality; on the CPU, as not all devices can."""
    return tensor.to("cpu", torch.float64)
