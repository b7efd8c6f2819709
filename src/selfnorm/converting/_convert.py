"""Make a model self-normalizing: in a copy, or in place."""

import gc
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, cast, get_args

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from selfnorm._seeded import devices_of, seeded
from selfnorm.converting import _drawing, _functional, _inputs, _steps, _unit_variance
from selfnorm.converting._changes import Change, Changes, checked
from selfnorm.converting._context import Context
from selfnorm.converting._copy import copied
from selfnorm.converting._flow import is_library, trace
from selfnorm.converting._modules import ACTIVATIONS, WEIGHTED
from selfnorm.converting._run import absent_in, call_of, seen_on, try_it
from selfnorm.converting._select import Choices, selector
from selfnorm.converting._sums import Staying
from selfnorm.converting._work import Work
from selfnorm.errors import ArgumentError, UnsupportedError
from selfnorm.init._model import check_initialized
from selfnorm.nn import fuse as nn_fuse

Init = Literal["lecun_normal", "lecun_uniform"]
Dropout = Literal["alpha", "remove", "keep"]
Norms = Literal["fold", "remove", "keep"]


def convert(
    model: nn.Module,
    *,
    include: Choices = None,
    exclude: Choices = None,
    init: Init | None = "lecun_normal",
    dropout: Dropout = "alpha",
    norms: Norms = "fold",
    activations: Sequence[type[nn.Module]] | None = None,
    example: object = None,
    fuse: bool = False,
) -> tuple[nn.Module, Changes]:
    r"""A self-normalizing copy of a model, and the list of what was changed.

    | what | becomes |
    |---|---|
    | ReLU, ELU, GELU, SiLU, ... with weights behind it | SELU |
    | the same at the output; sigmoid and other gates | left, and said so |
    | Dropout, Dropout2d, ... | AlphaDropout, FeatureAlphaDropout; p within the depth's budget |
    | BatchNorm behind a linear layer or convolution | folded into it (statistics of evaluation) |
    | other normalization | removed |
    | `x + f(x)` in a `forward` | `sqrt(1/2) * (x + f(x))` |
    | SELU and alpha dropout behind it | SELUAlphaDropout |
    | weights and biases | LeCun's, by `selfnorm.init.initialize_` |

    Functional calls (`F.relu`) and additions are changed where `torch.fx` can trace the module's
    own `forward`; that module gets another `forward` (its `code` shows it) and keeps all else: its
    methods, attributes, hooks, and its class as a parent. Where it cannot (control flow that
    depends on values or on the mode), the list names it as left.

    Without an example nothing shows what sums add in a `forward` that cannot be traced, or with
    what a module is given. There norms stay, and so do the weights of a layer before such a sum
    that no norm reads; the list names them.

    Names in the state dict, sharing, device, dtype and mode stay. Folding and removing norms takes
    their parameters away and may add a bias: `Changes.removed` and `Changes.added` tell.

    Args:
        model: Any module.
        include: Convert these only: names or patterns (`encoder.*`), classes, functions of name and
            module, one or several; with all that they contain. Everything if None.
        exclude: But not these.
        init: "lecun_normal", "lecun_uniform", or None, which keeps trained weights.
        dropout: "alpha", "remove", or "keep".
        norms: "fold", where that is possible, else remove, but for those that sums need; "remove";
            or "keep".
        activations: Classes to replace by SELU instead of the usual ones; a functional call is
            replaced if the class of its name is among them. None at all if there are none.
        example: Inputs, as for `audit`; of a `DataLoader` the first batch. With them it is seen
            which module reads which, also where no `forward` can be traced; an argument that is
            None in the example is taken to be None (a rewritten `forward` refuses it otherwise);
            matrices of layers of one's own are drawn, too; weights before SELUs are scaled where
            these have not variance 1 otherwise; inputs that are not standardized are named; and the
            result is tried.
        fuse: Let sequences of linear layers and SELUs run as one, by `selfnorm.nn.fuse`.

    Returns:
        The new model, and `Changes`.

    Raises:
        UnsupportedError: `model` is not a module, or it runs on the example and its copy does not.
        ArgumentError: An unknown choice, a name that fits nothing, lazy modules, or a loader that
            is empty.

    Source: Klambauer et al. 2017 (SELU, initialization, alpha dropout); Hoedt et al. 2022 (scaled
    residuals); Mishkin & Matas 2016 (weights scaled to an example); `torch.nn.utils.fusion` for
    folding.

    Example:
        >>> model = nn.Sequential(
        ...     nn.Linear(8, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 2)
        ... )
        >>> model, changes = convert(model)
        >>> [type(layer).__name__ for layer in model]
        ['Linear', 'Identity', 'SELUAlphaDropout', 'Identity', 'Linear']
    """
    _check(model, init, dropout, norms, activations)
    new = copied(model)
    for module in new.modules():
        if isinstance(module, nn.RNNBase):
            module.flatten_parameters()  # side by side, as cuDNN wants them; copies are not
    new, changes = _converted(new, include, exclude, init, dropout, norms, activations, example)
    return (nn_fuse(new) if fuse else new), changes


def convert_(
    model: nn.Module,
    *,
    include: Choices = None,
    exclude: Choices = None,
    init: Init | None = "lecun_normal",
    dropout: Dropout = "alpha",
    norms: Norms = "fold",
    activations: Sequence[type[nn.Module]] | None = None,
    example: object = None,
    fuse: bool = False,
) -> tuple[nn.Module, Changes]:
    """`convert` in place: the modules inside `model` are exchanged.

    The model comes back, too, as a model that is itself an activation has to be another object;
    `Changes` then says so.

    An optimizer that holds parameters which are gone is found, and told of. With an example the
    conversion is tried on a copy first: where it is refused, the model is as it was.

    Args:
        model: As for `convert`, and so are all others.
        include: Likewise.
        exclude: Likewise.
        init: Likewise.
        dropout: Likewise.
        norms: Likewise.
        activations: Likewise.
        example: Likewise.
        fuse: Likewise.

    Returns:
        The model, and `Changes`.

    Raises:
        UnsupportedError: As `convert`.
        ArgumentError: As `convert`.

    Source: As `convert`.

    Example:
        >>> model = nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, 2))
        >>> same, changes = convert_(model)
        >>> same is model, model[1]
        (True, SELU())
    """
    _check(model, init, dropout, norms, activations)
    if example is not None:  # on a copy first, so that what does not run leaves the model as it was
        with seeded(None, devices_of(model)):
            convert(
                model, include=include, exclude=exclude, init=init, dropout=dropout, norms=norms,
                activations=activations, example=example,
            )  # fmt: skip
    parameters = {id(p): n for n, p in model.named_parameters()}
    new, changes = _converted(model, include, exclude, init, dropout, norms, activations, example)
    more: list[Change] = []
    if new is not model:
        why = "it is another object: go on with the model that is returned"
        more.append(Change("", "note", type(model).__name__, "", why))
    kept = {id(p) for p in new.parameters()}
    gone = [name for key, name in parameters.items() if key not in kept]
    if (gone or changes.added) and _optimizers(set(parameters)):
        why = (
            f"{len(gone)} parameters are gone and {len(changes.added)} are new: build the "
            "optimizer again"
        )
        more.append(Change("", "note", "an optimizer holds the model's parameters", "", why))
    new = nn_fuse(new) if fuse else new
    return new, replace(changes, changes=(*changes.changes, *more))


def _converted(
    model: nn.Module,
    include: Choices,
    exclude: Choices,
    init: Init | None,
    dropout: Dropout,
    norms: Norms,
    activations: Sequence[type[nn.Module]] | None,
    example: object,
) -> tuple[nn.Module, Changes]:
    before = set(model.state_dict())
    chosen = selector(model, include, exclude)
    draw = _drawing.drawing(init) if init is not None else None
    if draw is not None:  # before anything is changed
        check_initialized(model, draw, _drawing.not_chosen(model, chosen))
    call = call_of(example) if example is not None else None
    absent = absent_in(model, call) if call is not None else {}
    seen = seen_on(model, call) if call is not None else None
    traces = {
        name: trace(module, absent.get(name, ()))
        for name, module in model.named_modules()
        if not is_library(module) and any(True for _ in module.children())
    }
    work = Work(
        model,
        chosen,
        tuple(activations) if activations is not None else ACTIVATIONS,
        Context(dict(model.named_modules(remove_duplicate=False)), traces, _late(model), seen),
    )
    work.silent = _drawing.silent(work)  # before norms are folded, whose scale goes with them
    _steps.name_closed(work)
    staying = Staying(work)
    if norms != "keep":
        kept = staying if norms == "fold" else None
        _steps.convert_norms(work, kept, drawn=init is not None)
    work.summed = staying.before()
    _steps.convert_activations(work)
    rewrites = list(_steps.rewrites(work, dropout))
    work.becoming = _functional.becoming(rewrites)
    depth = _steps.depth(work.model) + sum(len(r.activations) for r in rewrites)
    if dropout == "alpha":
        _steps.convert_dropout(work, depth)
    elif dropout == "remove":
        _steps.remove_dropout(work)
    _steps.fuse(work)
    for rewrite in reversed(rewrites):  # inner modules first
        work.changes += _functional.apply(rewrite, depth)
    if draw is not None:
        _drawing.initialize(work, draw)
    result = try_it(work.model, call) if call is not None else None
    if call is not None and result is not None and draw is not None:
        result = _unit_variance.scale(work, call, result)
        _inputs.name_raw(work, result)
    after = set(work.model.state_dict())
    gone, new = sorted(before - after), sorted(after - before)
    return work.model, Changes(
        tuple(work.changes), tuple(gone), tuple(new), checked(result) if result else None
    )


def _late(model: nn.Module) -> Callable[[str], bool]:
    """Whether a layer with weights is defined behind a module: where nothing better is known."""
    names = [name for name, _ in model.named_modules(remove_duplicate=False)]
    weighted = [
        place
        for place, (_, module) in enumerate(model.named_modules(remove_duplicate=False))
        if isinstance(module, WEIGHTED)
    ]
    order = {name: place for place, name in reversed(list(enumerate(names)))}
    return lambda name: order.get(name, len(order)) < max(weighted, default=-1)


def _check(
    model: object, init: object, dropout: object, norms: object, activations: object
) -> None:
    if not isinstance(model, nn.Module):
        raise UnsupportedError(
            f"convert changes a torch.nn.Module; got {type(model).__name__}. Pass the network."
        )
    for name, value, kinds in (
        ("init", init, (*get_args(Init), None)),
        ("dropout", dropout, get_args(Dropout)),
        ("norms", norms, get_args(Norms)),
    ):
        if not isinstance(value, str | None) or value not in kinds:
            listed = ", ".join(map(repr, kinds))
            raise ArgumentError(f"{name} is one of {listed}; got {value!r}. Choose one of them.")
    classes = cast("Sequence[object]", activations) if isinstance(activations, Sequence) else ()
    given = isinstance(activations, Sequence | None) and not isinstance(activations, str)
    if not given or not all(isinstance(c, type) for c in classes):
        raise ArgumentError(
            f"activations are classes of modules to replace by SELU; got {activations!r}. For "
            "example [torch.nn.ReLU]."
        )
    lazy = [name for name, tensor in model.state_dict(keep_vars=True).items() if is_lazy(tensor)]
    if lazy:
        raise ArgumentError(
            f"a conversion needs the shapes of all weights; lazy modules have none yet: "
            f"{', '.join(lazy)}. Run one batch through the model first."
        )


def _optimizers(parameters: set[int]) -> list[torch.optim.Optimizer]:
    """The optimizers of this process that hold one of the parameters."""
    return [
        found
        for found in gc.get_objects()
        if issubclass(type(found), torch.optim.Optimizer)
        and any(id(p) in parameters for group in found.param_groups for p in group["params"])
    ]
