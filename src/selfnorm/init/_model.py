"""Initialize a whole model: find every weight, settle what is shared, draw, name what is left."""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar, cast

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from selfnorm.errors import ArgumentError, SelfNormWarning, UnsupportedError
from selfnorm.init._distributions import Distribution, Draw, check_generator, check_terms
from selfnorm.init._layers import Constant, Weight
from selfnorm.init._memory import Sharing, is_plain
from selfnorm.init._named import slots_named
from selfnorm.init._places import Place, Slot, find, named, sharing_of
from selfnorm.init._tensors import check_dtype, check_writable, reshard
from selfnorm.init._writing import Writing, computed, write_all

M = TypeVar("M", bound=nn.Module)


def initialize_(
    module: M,
    *,
    distribution: Distribution = "normal",
    truncated: bool = False,
    exact: bool = False,
    generator: torch.Generator | None = None,
    skip: str | Iterable[str] = (),
    fan_in: Mapping[str, int] | None = None,
) -> M:
    """Initialize a model in place so that its pre-activations have variance 1 for unit inputs.

    Weights get mean 0 and variance 1/fan_in, biases 0, with the fan-in of each layer's own sum:

    | layer | weight | fan-in of a unit |
    |---|---|---|
    | Linear | (out, in) | in |
    | Conv1d, 2d, 3d | (out, in/groups, *kernel) | in/groups * prod(kernel) |
    | ConvTranspose1d, 2d, 3d | (in, out/groups, *kernel) | in/groups * taps of the output's phase |
    | Bilinear | (out, in1, in2) | in1 * in2 |
    | Embedding, EmbeddingBag | (rows, dim) | 1: variance 1; the padding row 0 |
    | RNN, LSTM, GRU and their cells | W_ih, W_hh | input + state, the two being one sum |
    | MultiheadAttention | packed or separate | E, kdim, vdim; bias_k, bias_v variance 1 |
    | BatchNorm, LayerNorm, GroupNorm, ... | | scale 1, offset 0, running statistics reset |
    | PReLU | | the slope it was made with |

    Subclasses count as their parent; containers (Transformer, ...) through what they contain.
    `requires_grad`, dtype, device and memory format stay as they are.

    **What it does not know it names.** Parameters of other classes stay as they are, with a
    `SelfNormWarning` that lists them; `skip` says that this is wanted. It is a warning and not an
    error as most such parameters (a class token, a layer scale) come initialized by their author.
    Matrices among them are drawn if `fan_in` names how many terms a unit sums; of an audit that is
    `report.fan_in`.

    **Orthogonal weights**, `distribution="orthogonal"`, are those of `lecun_orthogonal_` for each
    matrix that a weight holds: of a convolution's groups (`kernel * in/groups` columns), a
    transposed one's phases, a recurrent layer's gates, queries, keys and values. Gates have fan-in
    input + state, so `[W_ih, W_hh]` has orthonormal rows where neither is narrower than the state.
    Rows of embeddings, `bias_k` and `bias_v` are multiplied with nothing and stay normal.
    `distribution="isometric"` is the same but for convolutions of stride 1, which are orthogonal on
    the whole image, and not on one window alone: those of `orthogonal_convolution_`, by group.

    **Shared weights** are written once. Where two layers want different variances the smaller wins,
    and a warning says so: of an embedding tied to a decoder that is the decoder's 1/dim. Logits of
    variance dim would saturate the softmax, while rows of variance 1/dim take one factor sqrt(dim)
    behind the look-up (Vaswani et al. 2017, section 3.4). What counts is the memory: two parameters
    of one tensor's data, or two that overlap in a flat buffer, are shared too.

    **Parametrized weights** are assigned through `torch.nn.utils.parametrize`, and read back. Where
    the layer then holds other weights (`spectral_norm`, `orthogonal`: their values are not free) or
    takes none, everything is put back as it was, with a warning. Weights that an older hook
    computes (`torch.nn.utils.weight_norm`, `spectral_norm`, `prune`) are an error.

    **Random numbers** are drawn module by module in the order of `module.named_modules()`, weights
    in the order of the table, so a seed gives the same weights whether or not a layer has a
    bias, is parametrized, or lies between layers without weights. On the meta device nothing is
    drawn: call again after `to_empty`.

    **Sharded weights** (`fully_shard`, `DTensor`) are drawn whole and then cut, so a seed gives the
    weights that it gives the model on one device. Every process calls it; where their random
    numbers differ, those of the mesh's first process count.

    If anything raises, no parameter has changed: all values are drawn before the first is written,
    for which they take the model's memory once more.

    Args:
        module: The model, or one layer.
        distribution: "normal", "uniform", "orthogonal" or "isometric".
        truncated: Cut the normal distribution at two standard deviations; see `lecun_normal_`.
        exact: Center each unit's weights and scale their squares to 1 (`omega = 0`, `tau = 1`); see
            `lecun_normal_`. Of an embedding each row, to mean 0 and mean square 1.
        generator: Source of random numbers, on the model's device; torch's default if None.
        skip: Qualified names, as `named_modules` and `named_parameters` give them, of modules (with
            all that they contain) and parameters to leave untouched and unmentioned.
        fan_in: Of parameters that it does not know, by name: they get variance 1/fan_in, normal
            ones where orthogonal ones are asked for, and a `bias` beside them 0.

    Returns:
        The same module.

    Raises:
        ArgumentError: No module, lazy modules, a name in `skip` that does not exist, a generator
            on another device, an unknown distribution, `exact=True` for a unit with one weight or
            beside `fan_in`, or a name in `fan_in` that is of no parameter that it does not know.
        UnsupportedError: Weights or biases that are complex, integers or of less than 16 bits, not
            dense, overlapping in themselves, made in inference mode, of a class that does not take
            them, or computed by a hook; or a parametrization that cannot be tried on a copy.

    Source: LeCun et al. 1998, *Efficient BackProp*, Eq. 16; Klambauer et al. 2017, section 3.

    Example:
        >>> model = nn.Sequential(nn.ConvTranspose2d(8, 4, kernel_size=3, stride=2), nn.SELU())
        >>> weight = initialize_(model, exact=True)[0].weight
        >>> tau = weight[:, :, 0::2, 1::2].square().sum((0, 2, 3))  # one of the four phases
        >>> bool((tau - 1).abs().max() < 1e-6)
        True
    """
    draw = Draw(distribution, truncated, exact, generator)
    for shortcoming in initialized(module, draw, skip, fan_in):
        warnings.warn(shortcoming, SelfNormWarning, stacklevel=2)
    return module


def initialized(
    module: nn.Module,
    draw: Draw,
    skip: str | Iterable[str] = (),
    fan_in: Mapping[str, int] | None = None,
) -> list[str]:
    """`initialize_`, with what it would warn of as a result: warning filters are the process's."""
    if not isinstance(cast("object", module), nn.Module):
        raise ArgumentError(
            f"initialize_ writes into a torch.nn.Module; got {type(module).__name__}. "
            "Pass the model, or one layer."
        )
    reshard(module)
    slots, unknown, quantized = find(module)
    more, unknown = slots_named(fan_in or {}, slots, unknown, draw)
    slots += more
    sharing = sharing_of(module)
    places = [*(slot.place for slot in slots), *unknown, *quantized]
    left = named(skip, module, places, sharing)
    slots = [slot for slot in slots if not left(slot.place)]
    claimed = sharing.partners(t for slot in slots for t in slot.place.stored)
    unknown, quantized = (
        [p for p in found if not left(p) and not any(id(t) in claimed for t in p.stored)]
        for found in (unknown, quantized)
    )
    _check_lazy([*(slot.place for slot in slots), *unknown])
    with torch.no_grad():
        for slot in slots:
            _check(slot, draw)
        conflicts: list[Place] = []
        writings: list[Writing] = []
        for rivals in _groups(slots, sharing):
            order, lost = _settle(rivals, sharing)
            conflicts += lost
            drawn = {slot: computed(slot, draw) for slot in rivals if slot in order}
            writings += [drawn[slot] for slot in order]
        refused = write_all(writings)
    said = {
        "initialize_ knows torch's layers and left other parameters as they were: {}. Name the "
        "fan-in of matrices in fan_in; initialize the rest yourself and name it in skip.": unknown,
        "initialize_ writes floating-point weights and left quantized ones as they were: {}. "
        "Initialize the model before it is quantized, or name them in skip.": quantized,
        "initialize_ gives a shared weight the smaller of the variances that its layers ask for; "
        "{} did not get the variance of its own. Scale its output, or untie it.": conflicts,
        "initialize_ assigns weights through their parametrization, and these parametrizations do "
        "not keep what they are given, so they are as they were: {}. Initialize before "
        "parametrizing, or name them in skip.": refused,
    }
    return [message.format(_listed(places)) for message, places in said.items() if places]


def check_initialized(module: nn.Module, draw: Draw, skip: Iterable[str] = ()) -> None:
    """Raise for what `initialized` would raise for, and change nothing."""
    slots, _, _ = find(module)
    left = named(skip, module, [slot.place for slot in slots], sharing_of(module))
    slots = [slot for slot in slots if not left(slot.place)]
    _check_lazy([slot.place for slot in slots])
    for slot in slots:
        _check(slot, draw)


def _check_lazy(places: Sequence[Place]) -> None:
    lazy = [place for place in places if any(is_lazy(tensor) for tensor in place.stored)]
    if lazy:
        raise ArgumentError(
            "a weight needs its shape before it is drawn; lazy modules have none yet: "
            f"{_listed(lazy)}. Run one batch through the model first."
        )


def _check(slot: Slot, draw: Draw) -> None:
    """Raise for whatever cannot be initialized, before anything is."""
    place, entry = slot.place, slot.entry
    if not place.stored:
        raise UnsupportedError(
            f"initialize_ writes parameters; {place} is computed by a hook from other ones, as "
            "torch.nn.utils.weight_norm, spectral_norm, prune and FullyShardedDataParallel do. "
            "Initialize before that, use torch.nn.utils.parametrizations.weight_norm or "
            "fully_shard, or name it in skip."
        )
    for tensor in place.stored:
        check_writable(tensor, str(place))
        if place.parametrization is not None and not is_plain(tensor):
            raise UnsupportedError(
                f"a parametrized weight is computed from plain tensors; {place} is computed from "
                f"a {type(tensor).__name__}. Initialize before it is sharded or quantized."
            )
    if isinstance(entry, Constant) and entry.counts:
        return
    outline = place.outline
    check_dtype(outline.dtype, str(place))
    if not isinstance(entry, Weight):
        return
    check_generator(place.stored[0], draw, str(place))
    if outline.ndim < 2:
        raise UnsupportedError(
            "a weight has a dimension of units and one or more of inputs; "
            f"{place} has shape {tuple(outline.shape)}, as where FullyShardedDataParallel or ZeRO "
            "keep a part of it. Initialize before that, or use fully_shard."
        )
    remedy = "Leave exact out, or name it in skip and initialize it yourself."
    for group in entry.groups(outline):
        check_terms(group.terms, draw, str(place), remedy)


def _settle(rivals: Sequence[Slot], sharing: Sharing) -> tuple[list[Slot], list[Place]]:
    """Of slots that share memory those to draw, in the order of writing, and those that gave way.

    The smallest variance is written last. What lies altogether in the memory of smaller ones is not
    drawn.
    """
    if len(rivals) == 1:
        return list(rivals), []
    order: list[Slot] = []
    lost: list[Place] = []

    def smallest(slot: Slot) -> tuple[float, int]:
        return slot.variance, -sum(tensor.numel() for tensor in slot.place.stored)

    for slot in sorted(rivals, key=smallest):
        near = sharing.partners(slot.place.stored)
        over = [s for s in order if any(id(t) in near for t in s.place.stored)]
        if any(other.variance < slot.variance for other in over):
            lost.append(slot.place)
        tensors = [tensor for other in over for tensor in other.place.stored]
        if not all(sharing.covers(tensors, tensor) for tensor in slot.place.stored):
            order.append(slot)
    return order[::-1], lost


def _groups(slots: Sequence[Slot], sharing: Sharing) -> Iterator[list[Slot]]:
    """Slots that share memory, directly or by way of others, in the order of the slots."""
    holders: dict[int, list[int]] = {}
    for number, slot in enumerate(slots):
        for tensor in slot.place.stored:
            holders.setdefault(id(tensor), []).append(number)
    seen: set[int] = set()
    for first in range(len(slots)):
        waiting, group = [first], set[int]()
        while waiting:
            number = waiting.pop()
            if number not in seen:
                seen.add(number)
                group.add(number)
                near = sharing.partners(slots[number].place.stored)
                waiting += [other for tensor in near for other in holders.get(tensor, ())]
        if group:
            yield [slots[number] for number in sorted(group)]


def _listed(places: Sequence[Place]) -> str:
    return ", ".join(map(str, places))
