"""Sequences whose linear layers and SELUs run as one."""

# ruff: noqa: A001, A002 - `input` is what torch calls it

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.jit import is_scripting, is_tracing  # pyright: ignore[reportPrivateImportUsage]

from selfnorm import _torch_private
from selfnorm.nn._activations import SELU, SELUAlphaDropout
from selfnorm.nn._dropout import AlphaDropout
from selfnorm.nn._members import MemberLinear
from selfnorm.ops._chain import Activation, Chain, Link

_LAST = "_parts_of_last_call"
_LINEAR = (nn.Linear, MemberLinear)
_DROPOUTS = (AlphaDropout, nn.AlphaDropout)


class FusedSequential(nn.Sequential):
    """A `torch.nn.Sequential` that runs linear layers and SELUs as one node of autograd's graph.

    It computes what its layers compute one by one, with the same bits in the forward pass (of an
    input with strides, those of its copy), in less time: each run of `Linear`, `SELU` and
    `SELUAlphaDropout` (or `AlphaDropout` behind a SELU) keeps one output a layer, and nothing
    between them calls back. The layers stay where they are, under their names; whoever asks for
    them one by one gets them so: hooks on one of them,
    `selfnorm.audit` and `selfnorm.monitor`, transforms of `torch.func`, forward mode, derivatives
    of the derivative, `torch.compile`, export and scripting, autocast, classes of tensors, a layer
    that is exchanged for another, and tensors that are not on the CPU.

    Behind plain SELU the derivative is that of the rounded output, as in place. Where SELU is
    torch's own, the last bits are selfnorm's, and where alpha dropout is, masks are others, drawn
    from a seed of torch's generator. It is made as a `torch.nn.Sequential` is.

    Shape:
        As its layers.

    Example:
        >>> model = FusedSequential(nn.Linear(8, 16), SELU(), nn.Linear(16, 2))
        >>> x = torch.randn(4, 8)
        >>> torch.equal(model(x), nn.Sequential(*model)(x))
        True
    """

    def forward(self, input: Tensor) -> Tensor:
        """The last layer's output."""
        if is_scripting():  # TorchScript compiles this branch alone
            for module in self:
                input = module(input)
            return input
        if torch.compiler.is_compiling() or is_tracing() or type(input) is not Tensor:
            return super().forward(input)
        for part in self._parts():
            if isinstance(part, _Run):
                shape = part.chain.shape_for(input)
                if shape is not None:
                    input = part.chain(input, shape)
                    continue
                for module in part.modules:
                    input = module(input)
            else:
                input = part(input)
        return input

    def _parts(self) -> "list[_Run | nn.Module]":
        """Runs of links, and modules between; as at the call before if nothing changed since."""
        modules = list(self._modules.values())
        key = modules, [type(module) for module in modules]
        last, parts = vars(self).get(_LAST, (None, []))
        if last == key and all(part.holds() for part in parts if isinstance(part, _Run)):
            return parts
        parts, at = [], 0
        while at < len(modules):
            links, after = _links(modules, at)
            if len(links) > 1:
                parts.append(_Run(modules[at:after], links))
            else:
                after = max(after, at + 1)
                parts += modules[at:after]
            at = after
        if _torch_private.ways.nobody_hears(modules):  # else who does may end without a word
            vars(self)[_LAST] = key, parts
        return parts

    def __getstate__(self) -> dict[str, Any]:
        """All but what is found anew."""
        return {name: value for name, value in vars(self).items() if name != _LAST}


class _Run:
    """Modules that are links one behind the other, as they were when this was made."""

    def __init__(self, modules: list[nn.Module], links: list[Link]) -> None:
        self.modules, self.chain = modules, Chain(links)
        self._own = [vars(module) for module in modules]
        self._facts = [_fact(own) for own in self._own]

    def holds(self) -> bool:
        """Whether modules and parameters are what they were, and nobody wants to hear of calls."""
        return (
            [_fact(own) for own in self._own] == self._facts
            and _torch_private.ways.nobody_hears(self.modules)
            and self.chain.holds()
        )


def _fact(own: dict[str, Any]) -> tuple[Any, ...]:
    """What a module's part in a chain depends on, by its attributes: as such they cost a third."""
    parameters = own["_parameters"]
    if parameters:
        return id(parameters.get("weight")), id(parameters.get("bias"))
    known = own.get("p"), own["training"], own.get("form"), own.get("members_before")
    return *known, id(own.get("generator"))


def fuse(model: nn.Module) -> nn.Module:
    """Let each `torch.nn.Sequential` of a model run its linear layers and SELUs as one.

    Nothing is copied or renamed: where its class is `torch.nn.Sequential` itself, a sequence with
    two linear layers, and SELU behind one of them, becomes a `FusedSequential`. Parameters,
    `state_dict`, hooks and whatever refers to them stay. Convert networks with other activations
    first, by `selfnorm.convert`.

    Args:
        model: It is changed in place.

    Returns:
        The model.

    Example:
        >>> fuse(nn.Sequential(nn.Linear(8, 16), nn.SELU(), nn.Linear(16, 2)))
        FusedSequential(
          (0): Linear(in_features=8, out_features=16, bias=True)
          (1): SELU()
          (2): Linear(in_features=16, out_features=2, bias=True)
        )
    """
    for module in model.modules():
        if type(module) is nn.Sequential and _is_worth_it(list(module)):
            module.__class__ = FusedSequential
    return model


def _is_worth_it(modules: list[nn.Module]) -> bool:
    """Whether a sequence has a run of links, one with a SELU."""
    at = 0
    while at < len(modules):
        links, after = _links(modules, at)
        if len(links) > 1 and any(link.activation for link in links):
            return True
        at = max(after, at + 1)
    return False


def _links(modules: Sequence[nn.Module], at: int) -> tuple[list[Link], int]:
    """The links that begin at a place, and where they end."""
    links: list[Link] = []
    count, nobody_hears = len(modules), _torch_private.ways.nobody_hears
    kind = type(modules[at])
    while at < count and type(linear := modules[at]) is kind and kind in _LINEAR:
        activation, after = _activation(modules, at + 1)
        own = vars(linear)["_parameters"]  # as attributes they cost three times as much
        weight = own.get("weight")
        if weight is None or not nobody_hears(modules[at:after]):
            break
        links.append(Link(weight, own.get("bias"), activation))
        at = after
    return links, at


def _activation(modules: Sequence[nn.Module], at: int) -> tuple[Activation | None, int]:
    """What the SELU and the dropout at a place do, and where they end."""
    begin = at
    at = _after_identities(modules, at)
    module = modules[at] if at < len(modules) else None
    if type(module) is SELUAlphaDropout:
        p = module.p if module.training else 0.0
        if not _is_probability(p):
            return None, begin  # the module itself says what is wrong
        before = vars(module).get("members_before", 0)
        link = Activation(module.form, p, module.generator, before)
        return link, _after_identities(modules, at + 1)
    if type(module) is SELU:
        form = module.form
    elif type(module) is nn.SELU:
        form = None
    else:
        return None, at
    at = _after_identities(modules, at + 1)
    dropout = modules[at] if at < len(modules) else None
    if form is None and isinstance(dropout, nn.AlphaDropout) and type(dropout) in _DROPOUTS:
        p = dropout.p if dropout.training else 0.0
        if _is_probability(p):
            generator = dropout.generator if isinstance(dropout, AlphaDropout) else None
            return Activation(None, p, generator), _after_identities(modules, at + 1)
    return Activation(form), at


def _after_identities(modules: Sequence[nn.Module], at: int) -> int:
    """Where what a conversion left as `Identity` ends."""
    while at < len(modules) and type(modules[at]) is nn.Identity:
        at += 1
    return at


def _is_probability(p: object) -> bool:
    return type(p) is float and 0.0 <= p <= 1.0
