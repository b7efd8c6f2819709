"""Initialize a whole model: find every weight, settle what is shared, draw, name what is left."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from selfnorm.errors import ArgumentError, SelfNormWarning, UnsupportedError
from selfnorm.init._distributions import Distribution, Draw, check_drawable, check_terms
from selfnorm.init._layers import Entry, Weight, entries

M = TypeVar("M", bound=nn.Module)


def initialize_(
    module: M,
    *,
    distribution: Distribution = "normal",
    truncated: bool = False,
    exact: bool = False,
    generator: torch.Generator | None = None,
    skip: str | Iterable[str] = (),
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

    **Shared weights** are written once. Where two layers want different variances the smaller wins,
    and a warning says so: of an embedding tied to a decoder that is the decoder's 1/dim. Logits of
    variance dim would saturate the softmax, while rows of variance 1/dim take one factor sqrt(dim)
    behind the look-up (Vaswani et al. 2017, section 3.4).

    **Parametrized weights** are assigned through `torch.nn.utils.parametrize`, and read back. Where
    the layer then holds other weights (`spectral_norm`, `orthogonal`: their values are not free) or
    takes none, everything is put back as it was, with a warning. Weights that an older hook
    computes (`torch.nn.utils.weight_norm`, `spectral_norm`, `prune`) are an error.

    **Random numbers** are drawn module by module in the order of `module.named_modules()`, weights
    in the order of the table, so a seed gives the same weights whether or not a layer has a
    bias, is parametrized, or lies between layers without weights. On the meta device nothing is
    drawn: call again after `to_empty`.

    If anything raises, no parameter has changed.

    Args:
        module: The model, or one layer.
        distribution: "normal" or "uniform".
        truncated: Cut the normal distribution at two standard deviations; see `lecun_normal_`.
        exact: Center each unit's weights and scale their squares to 1 (`omega = 0`, `tau = 1`); see
            `lecun_normal_`. Of an embedding each row, to mean 0 and mean square 1.
        generator: Source of random numbers, on the model's device; torch's default if None.
        skip: Qualified names, as `named_modules` and `named_parameters` give them, of modules (with
            all that they contain) and parameters to leave untouched and unmentioned.

    Returns:
        The same module.

    Raises:
        ArgumentError: Lazy modules, a name in `skip` that does not exist, a generator on another
            device, an unknown distribution, or `exact=True` for a unit with one weight.
        UnsupportedError: Complex or integer weights, or weights that a hook computes.

    Source: LeCun et al. 1998, *Efficient BackProp*, Eq. 16; Klambauer et al. 2017, section 3.

    Example:
        >>> model = nn.Sequential(nn.ConvTranspose2d(8, 4, kernel_size=3, stride=2), nn.SELU())
        >>> weight = initialize_(model, exact=True)[0].weight
        >>> tau = weight[:, :, 0::2, 1::2].square().sum((0, 2, 3))  # one of the four phases
        >>> bool((tau - 1).abs().max() < 1e-6)
        True
    """
    for shortcoming in initialized(module, Draw(distribution, truncated, exact, generator), skip):
        warnings.warn(shortcoming, SelfNormWarning, stacklevel=2)
    return module


def initialized(module: nn.Module, draw: Draw, skip: str | Iterable[str] = ()) -> list[str]:
    """`initialize_`, with what it would warn of as a result: warning filters are the process's."""
    slots, unknown = _find(module)
    skipped = _skipped(skip, module, [*(slot.place for slot in slots), *unknown])
    slots = [slot for slot in slots if not skipped(slot.place)]
    unknown = [place for place in unknown if not skipped(place)]
    _check(slots, unknown, draw)
    chosen, conflicts = _settle(slots)
    with torch.no_grad():
        refused = [slot.place for slot in chosen if not slot.write_(draw)]
    said = {
        "initialize_ knows torch's layers and left other parameters as they were: {}. Initialize "
        "them yourself and name them in skip.": unknown,
        "initialize_ gives a shared weight the smaller of the variances that its layers ask for; "
        "{} did not get the variance of its own. Scale its output, or untie it.": conflicts,
        "initialize_ assigns weights through their parametrization, and these parametrizations do "
        "not keep what they are given, so they are as they were: {}. Initialize before "
        "parametrizing, or name them in skip.": refused,
    }
    return [message.format(_listed(places)) for message, places in said.items() if places]


@dataclass(frozen=True)
class _Place:
    """One parameter or buffer of one module, and the tensors that store it."""

    path: str
    module: nn.Module
    name: str
    stored: tuple[Tensor, ...]

    @property
    def qualified(self) -> str:
        return f"{self.path}.{self.name}" if self.path else self.name

    @property
    def tensor(self) -> Tensor:
        parametrization = _parametrizations(self.module).get(self.name)
        return (
            getattr(self.module, self.name) if parametrization is None else _held(parametrization)
        )

    def __str__(self) -> str:
        return f"{self.qualified!r} ({type(self.module).__name__})"


@dataclass(frozen=True)
class _Slot:
    """A place, and what goes there."""

    place: _Place
    entry: Entry

    def write_(self, draw: Draw) -> bool:
        """Write the entry; False if the parametrization does not keep it."""
        place = self.place
        if any(stored.is_meta for stored in place.stored):
            return True
        parametrization = _parametrizations(place.module).get(place.name)
        if parametrization is None:
            self.entry.write_(place.tensor, draw)
            return True
        saved = {key: value.clone() for key, value in parametrization.state_dict().items()}
        wanted = torch.empty_like(place.tensor)
        self.entry.write_(wanted, draw)
        if _assign(parametrization, wanted.clone()) and _close(_held(parametrization), wanted):
            return True
        parametrization.load_state_dict(saved)
        return False


def _find(root: nn.Module) -> tuple[list[_Slot], list[_Place]]:
    """Every place that is known, with its entry, and every parameter that is not."""
    slots: list[_Slot] = []
    unknown: list[_Place] = []
    for path, module in root.named_modules():
        stored = _stored(module)
        known = {
            entry.name: entry
            for entry in entries(module)
            if entry.name in stored or getattr(module, entry.name, None) is not None
        }
        slots += [
            _Slot(_Place(path, module, name, stored.get(name, ())), entry)
            for name, entry in known.items()
        ]
        unknown += [
            _Place(path, module, name, tensors)
            for name, tensors in stored.items()
            if name not in known and any(isinstance(tensor, nn.Parameter) for tensor in tensors)
        ]
    claimed = {id(tensor) for slot in slots for tensor in slot.place.stored}
    return slots, [p for p in unknown if not claimed & {id(tensor) for tensor in p.stored}]


def _stored(module: nn.Module) -> dict[str, tuple[Tensor, ...]]:
    """The tensors in which the module itself stores each of its parameters and buffers."""
    own = dict(module.named_buffers(recurse=False, remove_duplicate=False))
    parameters = module.named_parameters(recurse=False, remove_duplicate=False)
    if isinstance(module, parametrize.ParametrizationList):
        # Its originals are the parametrized module's, found under the name that they stand for.
        parameters = ((n, p) for n, p in parameters if not n.startswith("original"))
    own |= dict(parameters)
    return {name: (tensor,) for name, tensor in own.items()} | {
        name: (*parametrization.parameters(False), *parametrization.buffers(False))
        for name, parametrization in _parametrizations(module).items()
    }


def _parametrizations(module: nn.Module) -> dict[str, parametrize.ParametrizationList]:
    if not parametrize.is_parametrized(module):
        return {}
    found = cast("nn.ModuleDict", module.parametrizations)
    return {n: cast("parametrize.ParametrizationList", p) for n, p in found.items()}


def _skipped(
    skip: str | Iterable[str], root: nn.Module, places: Sequence[_Place]
) -> Callable[[_Place], bool]:
    """Whether `skip` names a place, or a module around it, or another name of its tensors."""
    skip = (skip,) if isinstance(skip, str) else tuple(skip)
    parameters = list(root.named_parameters(remove_duplicate=False))
    names = {name for name, _ in root.named_modules(remove_duplicate=False)} - {""}
    names |= {name for name, _ in parameters} | {place.qualified for place in places}
    absent = [name for name in skip if name not in names]
    if absent:
        raise ArgumentError(
            "skip holds names of the model's modules and parameters; it has none called "
            f"{', '.join(map(repr, absent))}. named_modules() and named_parameters() list them."
        )

    def named(name: str) -> bool:
        return any(name == skipped or name.startswith(f"{skipped}.") for skipped in skip)

    kept = {id(parameter) for name, parameter in parameters if named(name)}
    return lambda place: named(place.qualified) or any(id(t) in kept for t in place.stored)


def _check(slots: Sequence[_Slot], unknown: Sequence[_Place], draw: Draw) -> None:
    """Raise for whatever cannot be initialized, before anything is."""
    places = [*(slot.place for slot in slots), *unknown]
    lazy = [place for place in places if any(is_lazy(tensor) for tensor in place.stored)]
    if lazy:
        raise ArgumentError(
            "a weight needs its shape before it is drawn; lazy modules have none yet: "
            f"{_listed(lazy)}. Run one batch through the model first."
        )
    for place, entry in ((slot.place, slot.entry) for slot in slots):
        if not place.stored:
            raise UnsupportedError(
                f"initialize_ writes parameters; {place} is computed by a hook from other ones, as "
                "torch.nn.utils.weight_norm, spectral_norm and prune do. Initialize before that, "
                "use torch.nn.utils.parametrizations.weight_norm, or name it in skip."
            )
        if isinstance(entry, Weight):
            check_drawable(place.tensor, draw, str(place))
            remedy = "Leave exact out, or name it in skip and initialize it yourself."
            for _, _, terms in entry.groups(place.tensor):
                check_terms(terms, draw, str(place), remedy)


def _settle(slots: Sequence[_Slot]) -> tuple[list[_Slot], list[_Place]]:
    """One slot for each stored tensor, the smallest where they differ, and those that gave way."""
    sharing: dict[int, list[_Slot]] = {}
    for slot in slots:
        sharing.setdefault(id(slot.place.stored[0]), []).append(slot)
    chosen: list[_Slot] = []
    conflicts: list[_Place] = []
    for rivals in sharing.values():
        sizes = [slot.entry.mean_square(slot.place.tensor) for slot in rivals]
        chosen.append(rivals[sizes.index(min(sizes))])
        conflicts += [s.place for s, size in zip(rivals, sizes, strict=True) if size > min(sizes)]
    return chosen, conflicts


def _assign(parametrization: parametrize.ParametrizationList, value: Tensor) -> bool:
    """Assign through the parametrization; False if it has no inverse."""
    try:
        parametrization.right_inverse(value)
    except (RuntimeError, ValueError):  # torch's own; NotImplementedError is a RuntimeError
        return False
    return True


def _held(parametrization: parametrize.ParametrizationList) -> Tensor:
    """The weight that the layer computes with; read in eval mode, as spectral_norm learns else."""
    modes = [(part, part.training) for part in parametrization.modules()]
    parametrization.eval()
    value: Tensor = parametrization()
    for part, training in modes:
        part.training = training
    return value.detach()


def _close(held: Tensor, wanted: Tensor) -> bool:
    """Equal up to rounding: a constrained weight is off by its own size, a free one by ulps."""
    tolerance = torch.finfo(wanted.dtype).eps ** 0.5
    return bool((held - wanted).norm() <= tolerance * wanted.norm())


def _listed(places: Sequence[_Place]) -> str:
    return ", ".join(map(str, places))
