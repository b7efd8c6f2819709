"""A model as plain torch: for programs, files and runtimes that know no selfnorm."""

import operator
from collections import Counter
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from selfnorm import ops
from selfnorm._torch_private import COMPILED
from selfnorm.converting._copy import copied
from selfnorm.converting._flow import children_of, is_library, is_patched, trace
from selfnorm.converting._functional import function_name
from selfnorm.converting._modules import SELU_FUNCTIONS, SELUS
from selfnorm.converting._norms import FOLDS_INTO, exact
from selfnorm.converting._readers import readers
from selfnorm.converting._rewritten import as_graph_module, is_rewritten
from selfnorm.errors import UnsupportedError
from selfnorm.nn import (
    MLP,
    SELU,
    AlphaDropout,
    FeatureAlphaDropout,
    FusedSequential,
    MemberLinear,
    SELUAlphaDropout,
)
from selfnorm.theory import SELUForm, selu_constants

_SELU = selu_constants()
_FORWARDS = (nn.SELU.forward, SELU.forward, SELUAlphaDropout.forward)
_OURS = (ops.selu, ops.selu_alpha_dropout)  # called with an input alone, both are SELU
_FORM = ("depth", "growth", "form")
_DROPOUTS: dict[type[nn.Module], type[nn.Module]] = {
    AlphaDropout: nn.AlphaDropout,
    FeatureAlphaDropout: nn.FeatureAlphaDropout,
    nn.AlphaDropout: nn.AlphaDropout,
    nn.FeatureAlphaDropout: nn.FeatureAlphaDropout,
}


def deploy(model: nn.Module, *, elu: bool = False) -> nn.Module:
    r"""A copy of a model in torch's own modules, in evaluation mode; it needs no selfnorm.

    | ours | becomes |
    |---|---|
    | `SELU` | `torch.nn.SELU` |
    | `AlphaDropout`, `FeatureAlphaDropout` | torch's of the same name |
    | `SELUAlphaDropout` | `torch.nn.Sequential` of SELU and AlphaDropout; SELU alone if p = 0 |
    | either in another form | `torch.nn.Sequential` with a graph of that form |
    | `MLP`, `FusedSequential` | `torch.nn.Sequential` |
    | `MemberLinear` | a graph of its product, under its name; its hooks are gone |
    | what `convert` rewrote | a `torch.fx.GraphModule`; methods of its class are gone |

    Parameters, their names in the state dict, sharing and hooks stay. Classes of the model's own
    stay, too, with their `forward`, and so does a module that had a `forward` put on the object;
    where these call functions of selfnorm the program needs them. A `selfnorm.selu` that a module
    of torch was given, as the `activation` of a transformer layer, becomes torch's.

    With `elu=True` the model has no SELU, torch's included, for runtimes that know ELU alone:

        selu(x) = lambda * elu(x, alpha)

    and lambda goes into the weights of the layer that reads it. Between may lie what a positive
    factor passes: pooling, flattening, dropout. Where no single linear layer or convolution is
    known to be the only reader (sums, several readers, the model's output), or SELU works in place
    on what is not known to be a layer's output and no one else's, a multiplication follows the ELU.
    It follows every ELU of a model with code that may use any weight: a `forward` that cannot be
    traced, reaches out of its module, or was put on the object. What the model gives stays the same
    up to rounding. Alpha dropout is gone: it is the identity in evaluation, and would not fit an
    unscaled ELU.

    Args:
        model: Any module, a converted one, say.
        elu: Put ELU in place of SELU.

    Returns:
        The copy.

    Raises:
        UnsupportedError: `model` is not a module; or with `elu`, SELU is called as a function, in a
            `forward` or by a module that was given it, or is a module with a `forward` of its own.

    Example:
        >>> from selfnorm.nn import MLP
        >>> model = MLP(4, 2, width=8, depth=1).eval()
        >>> plain = deploy(model, elu=True)
        >>> type(plain), plain.selu1
        (<class 'torch.nn.modules.container.Sequential'>, ELU(alpha=1.67326..., inplace=True))
        >>> x = torch.randn(3, 4)
        >>> torch.allclose(plain(x), model(x), atol=1e-6)
        True
    """
    if not isinstance(model, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UnsupportedError(
            f"deploy takes a torch.nn.Module; got {type(model).__name__}. Pass the network."
        )
    if elu:
        _refuse_other_selus(model)
    new = copied(getattr(model, COMPILED, model)).eval()
    for module in list(new.modules()):
        _make_plain(module, elu=elu)
    if elu:
        _put_elu(new)
    return _as_graphs(new)


def _refuse_other_selus(model: nn.Module) -> None:
    """Raise where SELU is called in a way that ELU cannot stand for, as far as that can be seen."""
    for name, module in model.named_modules():
        kind = type(module).__name__
        if isinstance(module, SELUS) and (
            type(module).forward not in _FORWARDS or is_patched(module)
        ):
            raise UnsupportedError(
                f"with elu=True, the forward of a SELU must be torch's or selfnorm's; "
                f"{name or 'model'}, a {kind}, has its own. Put torch.nn.SELU there."
            )
        for function in _functions(module):
            if function in SELU_FUNCTIONS:
                raise UnsupportedError(
                    f"with elu=True, SELU must be called as a module; the forward of "
                    f"{name or 'model'}, a {kind}, calls {function}(). Give it a torch.nn.SELU."
                )


def _functions(module: nn.Module) -> Iterator[str]:
    """Names of the functions that a module calls, or where that is not known, has been given."""
    graph = None if is_library(module) else trace(module).graph
    if graph is not None:
        yield from map(function_name, graph.nodes)
    else:
        yield from (str(getattr(v, "__name__", "")).strip("_") for v in vars(module).values())


# A module becomes another one by its class: names, sharing, hooks and mode stay as they are.


def _make_plain(module: nn.Module, *, elu: bool) -> None:
    kind = type(module)
    if is_library(module):
        given = [key for key, v in vars(module).items() if any(v is f for f in _OURS)]
        vars(module).update(dict.fromkeys(given, functional.selu))
    if is_patched(module):  # it may need its attributes
        return
    if kind in (MLP, FusedSequential):
        _become(module, nn.Sequential, without=("members",))
    elif isinstance(module, SELU | SELUAlphaDropout) and module.form is not None:
        if elu or kind in (SELU, SELUAlphaDropout):
            _put_form(module, module.form, elu=elu)
    elif kind is SELU:
        _become(module, nn.SELU, without=_FORM)
    elif kind in _DROPOUTS:
        plain = nn.Identity if elu else _DROPOUTS[kind]
        _become(module, plain, without=("generator", "spatial_dims"))
    elif isinstance(module, SELUAlphaDropout) and (elu or kind is SELUAlphaDropout):
        p, inplace = module.p, module.inplace
        if p == 0 or elu:
            _become(module, nn.SELU, without=("generator", "p", *_FORM))
        else:
            _become(module, nn.Sequential, without=("generator", "p", "inplace", *_FORM))
            module.add_module("selu", nn.SELU(inplace).eval())
            module.add_module("dropout", nn.AlphaDropout(p, inplace).eval())


def _put_form(module: SELU | SELUAlphaDropout, form: SELUForm, *, elu: bool) -> None:
    p = module.p if isinstance(module, SELUAlphaDropout) and not elu else 0.0
    made = _form(form, p, elu=elu, inplace=module.inplace)
    _become(module, nn.Sequential, without=("generator", "p", "inplace", *_FORM))
    module.add_module("form", made.eval())


def _as_graphs(model: nn.Module) -> nn.Module:
    """The model with what torch has no module for as graphs: members, what `convert` rewrote."""
    made: dict[nn.Module, nn.Module] = {}
    for module in model.modules():
        if type(module) is MemberLinear and not is_patched(module):
            made[module] = _product(module)
        elif is_rewritten(module):
            made[module] = as_graph_module(module)
    for module in list(model.modules()):
        if isinstance(module, torch.jit.ScriptModule):
            continue
        children = children_of(module)  # which a graph shares with the module that it stands for
        children.update({n: made[c] for n, c in children.items() if c is not None and c in made})
    return made.get(model, model)


def _put_elu(model: nn.Module) -> None:
    modules = dict(model.named_modules())
    reader = readers(model)
    # These may overwrite their input: a layer's output, which no one else reads. Whoever reads it
    # again would miss the factor.
    apart = {name for source, name in reader.items() if type(modules[source]) in FOLDS_INTO}
    uses = Counter(id(p) for _, p in model.named_parameters(remove_duplicate=False))
    for name, module in modules.items():
        if not isinstance(module, nn.SELU):
            continue
        inplace = module.inplace
        layer = modules[reader[name]] if name in reader else None
        folds = type(layer) in FOLDS_INTO and (name in apart or not inplace)
        if layer is not None and folds and uses[id(layer.weight)] == 1:
            _scale_weight(layer)
            vars(module)["alpha"] = _SELU.alpha
            _become(module, nn.ELU)
        else:
            _become(module, nn.Sequential, without=("inplace",))
            module.add_module("elu", nn.ELU(_SELU.alpha, inplace).eval())
            module.add_module("scale", _scale(inplace=inplace).eval())


def _become(module: nn.Module, kind: type[nn.Module], *, without: tuple[str, ...] = ()) -> None:
    for name in without:
        vars(module).pop(name, None)
    module.__class__ = kind


@torch.no_grad()
def _scale_weight(layer: nn.Module) -> None:
    weight = cast("Tensor", layer.weight)
    weight.copy_(exact(weight) * _SELU.scale)


def _form(form: SELUForm, p: float, *, elu: bool, inplace: bool) -> nn.Module:
    """`linear * x + factor * selu(x) + shift`, or that by ELU.

    With torch's alpha dropout where mean and variance are 0 and 1: behind SELU, or SELU and line.
    """
    root, graph = nn.Module(), fx.Graph()

    def mapped(value: fx.Node, factor: float, term: fx.Node | float) -> fx.Node:
        scaled = graph.call_function(operator.mul, (value, factor))
        return graph.call_function(operator.add, (scaled, term)) if term else scaled

    x = given = graph.placeholder("x")
    if inplace:
        x = graph.call_method("clone", (x,))
    z, scale = graph.call_function(functional.selu, (x,)), form.factor
    if elu:
        z, scale = graph.call_function(functional.elu, (x, _SELU.alpha)), scale * _SELU.scale
    if form.linear:
        z, scale = mapped(z, scale, mapped(x, form.linear, 0.0)), 1.0
    if p:
        root.add_module("dropout", nn.AlphaDropout(p))
        z = graph.call_module("dropout", (z,))
    if scale != 1 or form.shift:
        z = mapped(z, scale, form.shift)
    graph.output(graph.call_method("copy_", (given, z)) if inplace else z)
    return fx.GraphModule(root, graph, class_name="Form")


def _product(layer: MemberLinear) -> nn.Module:
    """`x @ weight^T + bias` of every member; parameters and their names are the layer's."""
    root, graph = nn.Module(), fx.Graph()
    for name, parameter in layer.named_parameters():
        root.register_parameter(name, parameter)
    x = graph.placeholder("x")
    turned = graph.call_method("transpose", (graph.get_attr("weight"), 1, 2))
    z = graph.call_function(torch.matmul, (x, turned))
    if layer.bias is not None:
        bias = graph.call_method("unsqueeze", (graph.get_attr("bias"), 1))
        z = graph.call_function(operator.add, (z, bias))
    graph.output(z)
    return fx.GraphModule(root, graph, class_name="Members").eval()


def _scale(*, inplace: bool) -> nn.Module:
    """A multiplication by lambda, of no class that a program would have to know."""
    graph = fx.Graph()
    x = graph.placeholder("x")
    graph.output(graph.call_function(operator.imul if inplace else operator.mul, (x, _SELU.scale)))
    return fx.GraphModule(nn.Module(), graph, class_name="Scale")
