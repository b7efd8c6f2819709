"""A jaxpr evaluated primitive by primitive, so that layers are seen where they stand.

Calls, loops and branches are gone into. What computes each number by itself from one value is put
together until something else reads it: then its values tell which activation it is. A product with
weights waits for its bias.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from selfnorm.jax.trace._dims import moved_dims
from selfnorm.jax.trace._equations import (
    bound,
    called,
    is_boolean,
    is_elementwise,
    is_uniform,
    place,
    plain,
)
from selfnorm.jax.trace._node import Chain, Node, Site, sources_of
from selfnorm.jax.trace._primitives import (
    BY_INDEX,
    CALLS,
    ELEMENTWISE,
    MOVING,
    POOLING,
    ROWWISE,
    SCALING,
    STATISTICS,
    TRANSPARENT,
)
from selfnorm.jax.trace._sites import Sites

_DROPOUT = re.compile(r"(selu_)?alpha_dropout\(p=(.*)\)")
_LONGEST = 1000
_SUMS = {"add", "sub", "add_any"}

Values = list[Any]


class Evaluator:
    """Evaluates once; every layer is handed to `sites`, which may give it another value."""

    def __init__(self, sites: Sites) -> None:
        self._sites = sites

    def run(self, closed: ClosedJaxpr, arguments: Sequence[Any]) -> Values:
        """The outputs, as nodes where they depend on inputs, each settled."""
        outputs = self._jaxpr(closed.jaxpr, closed.consts, arguments, "")
        return [self._settled(out) for out in outputs]

    def _jaxpr(
        self, jaxpr: Jaxpr, consts: Sequence[Any], arguments: Sequence[Any], scope: str
    ) -> Values:
        known: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
        known |= dict(zip(jaxpr.invars, arguments, strict=True))
        read_by = [v for e in jaxpr.eqns for v in e.invars] + list(jaxpr.outvars)
        uses: Counter[Any] = Counter(v for v in read_by if not isinstance(v, Literal))

        def read(v: Any) -> Any:
            return v.val if isinstance(v, Literal) else known[v]

        for equation in jaxpr.eqns:
            given = [read(v) for v in equation.invars]
            for v, value in zip(equation.invars, given, strict=True):
                if isinstance(value, Node) and value.site is not None and uses[v] > 1:
                    self._settled(value)
            stack = plain(str(equation.source_info.name_stack))
            where = "/".join(part for part in (scope, stack) if part)
            outputs = self._equation(equation, given, where)
            known |= dict(zip(equation.outvars, outputs, strict=True))
        return [read(v) for v in jaxpr.outvars]

    def _equation(  # noqa: PLR0911 - one row each for a kind of primitive
        self, equation: Any, given: Values, scope: str
    ) -> Values:
        name = equation.primitive.name
        tracked = [v for v in given if isinstance(v, Node)]
        if not tracked:
            outputs = bound(equation, given)
            self._sites.derived(name, given, outputs)
            return outputs
        if name in CALLS:
            return self._call(equation, given, tracked, scope)
        step: Callable[..., Values] | None = {
            "scan": self._scan,
            "cond": self._cond,
            "dot_general": self._dot,
            "conv_general_dilated": self._convolution,
            "gather": self._gather,
            "concatenate": self._concatenate,
            "pad": self._pad,
            "select_n": self._select,
        }.get(name)
        if step is not None:
            return step(equation, given, tracked, scope)
        if name in ELEMENTWISE and name not in MOVING:
            return self._elementwise(equation, given, tracked, scope)
        if name == "convert_element_type" and tracked[0].chain is not None:
            return self._elementwise(equation, given, tracked, scope)
        if name in MOVING:
            return self._moved(equation, given, tracked)
        if name in POOLING and not tracked[0].statistic:
            return self._layer(equation, given, tracked, Site("pooling", name, place(scope, name)))
        if name in STATISTICS:
            return self._statistic(equation, given, tracked)
        role = "aggregation" if name in BY_INDEX else "unknown"
        return self._layer(equation, given, tracked, Site(role, name, place(scope, name)))

    # Calls, loops, branches

    def _call(self, equation: Any, given: Values, tracked: list[Node], scope: str) -> Values:
        inner = equation.params[CALLS[equation.primitive.name]]
        name = str(equation.params.get("name") or called(inner))
        dropout = _DROPOUT.fullmatch(name)
        if dropout is not None:
            return self._own_dropout(equation, given, tracked, scope, dropout)
        jaxpr, consts = (inner.jaxpr, inner.consts) if hasattr(inner, "consts") else (inner, [])
        if name in ROWWISE:
            role, activation = ROWWISE[name]
            site = Site(role, f"{name}()", place(scope, name), activation)
            return self._layer(equation, given, tracked, site)
        whole = name not in TRANSPARENT and len(tracked) == 1 and len(equation.outvars) == 1
        if whole and is_elementwise(jaxpr) and not is_boolean(equation):
            out = equation.outvars[0].aval
            if out.shape == tracked[0].value.shape and jnp.issubdtype(out.dtype, jnp.floating):
                return self._elementwise(equation, given, tracked, scope, name)
        return self._jaxpr(jaxpr, consts, given, scope)

    def _own_dropout(
        self, equation: Any, given: Values, tracked: list[Node], scope: str, found: re.Match[str]
    ) -> Values:
        p, selu = float(found[2]), bool(found[1])
        name = "selu_alpha_dropout" if selu else "alpha_dropout"
        settings = {"p": p, "inplace": False, "ours": True, "keeps_output": selu}
        role = "activation" if selu else "alpha dropout"
        site = Site(role, f"{name}()", place(scope, name), "selu" if selu else "", settings)
        return self._layer(equation, given, tracked, site)

    def _scan(self, equation: Any, given: Values, tracked: list[Node], scope: str) -> Values:
        params = equation.params
        constants, carried = params["num_consts"], params["num_carry"]
        length: int = params["length"]
        if length > _LONGEST or length == 0:
            return self._layer(
                equation, given, tracked, Site("unknown", "scan", place(scope, "scan"))
            )
        body: ClosedJaxpr = params["jaxpr"]
        carry = given[constants : constants + carried]
        rows: list[Values] = []
        order = range(length)[::-1] if params["reverse"] else range(length)
        for i in order:
            slices = [self._slice(v, i) for v in given[constants + carried :]]
            outputs = self._jaxpr(
                body.jaxpr, body.consts, [*given[:constants], *carry, *slices], f"{scope}[{i}]"
            )
            carry = outputs[:carried]
            rows.append([self._settled(v) for v in outputs[carried:]])
        if params["reverse"]:
            rows.reverse()
        return [*carry, *(self._stacked(column) for column in zip(*rows, strict=True))]

    def _slice(self, value: Any, index: int) -> Any:
        if not isinstance(value, Node):
            part = value[index]
            self._sites.sliced(value, part, index)
            return part
        node = self._settled(value)
        dims = None if node.dims is None else tuple(d - 1 for d in node.dims if d)
        return Node(node.value[index], node.sources, dims or None)

    def _stacked(self, column: Sequence[Any]) -> Any:
        values = [v.value if isinstance(v, Node) else v for v in column]
        sources = sources_of(*column)
        dims = next((v.dims for v in column if isinstance(v, Node) and v.dims), None)
        whole = jnp.stack(values)
        return Node(whole, sources, dims and tuple(d + 1 for d in dims)) if sources else whole

    def _cond(self, equation: Any, given: Values, _tracked: list[Node], scope: str) -> Values:
        index, *rest = given
        raw = index.value if isinstance(index, Node) else index
        branches = equation.params["branches"]
        chosen = self._sites.decided(lambda: int(np.clip(int(raw), 0, len(branches) - 1)))
        branch: ClosedJaxpr = branches[chosen]
        return self._jaxpr(branch.jaxpr, branch.consts, rest, scope)

    # Layers

    def _dot(self, equation: Any, given: Values, tracked: list[Node], scope: str) -> Values:
        role = "aggregation" if self._sites.aggregates(equation.params, given) else "product"
        if len(tracked) > 1 or role == "aggregation":
            site = Site(role, "dot_general", place(scope, "dot_general"))
            return self._layer(equation, given, tracked, site)
        return self._weighted(equation, given, tracked[0], scope)

    def _convolution(self, equation: Any, given: Values, tracked: list[Node], scope: str) -> Values:
        if isinstance(given[1], Node):
            site = Site("product", "conv_general_dilated", place(scope, "conv"))
            return self._layer(equation, given, tracked, site)
        return self._weighted(equation, given, tracked[0], scope)

    def _weighted(self, equation: Any, given: Values, read: Node, scope: str) -> Values:
        self._settled(read)
        product, site = self._sites.weighted(equation, given, read, scope)
        (value,) = bound(equation, given)
        return [Node(value, read.sources, product.dims, site=site)]

    def _gather(self, equation: Any, given: Values, tracked: list[Node], scope: str) -> Values:
        if isinstance(given[0], Node):
            return self._moved(equation, given, tracked)
        site = self._sites.embedding(given[0], scope)
        return self._layer(equation, given, tracked, site)

    def _concatenate(self, equation: Any, given: Values, tracked: list[Node], scope: str) -> Values:
        if len(tracked) < 2:
            return self._moved(equation, given, tracked)
        for node in tracked:
            self._settled(node)
        parts = self._sites.decided(
            lambda: [float(np.mean(np.square(np.asarray(n.value, np.float64)))) for n in tracked]
        )
        name = place(scope, "concatenate")
        return self._layer(
            equation,
            given,
            tracked,
            Site("concatenation", "concatenate()", name, "", {"parts": parts}),
        )

    def _pad(self, equation: Any, given: Values, tracked: list[Node], scope: str) -> Values:
        site = Site("padding", "pad()", place(scope, "pad"))
        return self._layer(equation, given, tracked, site)

    def _select(self, equation: Any, given: Values, tracked: list[Node], scope: str) -> Values:
        """A mask that inputs do not decide, between a value and a constant: dropout."""
        mask, *branches = given
        nodes = [b for b in branches if isinstance(b, Node)]
        if isinstance(mask, Node) or len(branches) != 2 or len(nodes) != 1:
            return self._elementwise(equation, given, tracked, scope)
        (constant,) = (b for b in branches if not isinstance(b, Node))
        node = nodes[0]
        site, scaled = self._sites.dropout(mask, constant, branches[1] is node, node, scope)
        if site is None:
            return self._elementwise(equation, given, tracked, scope)
        before = node.chain.base if scaled and node.chain is not None else self._settled(node)
        (value,) = bound(equation, given)
        return [self._recorded(site, value, before.sources, before.dims)]

    def _elementwise(
        self,
        equation: Any,
        given: Values,
        tracked: list[Node],
        scope: str,
        whole: str = "",
    ) -> Values:
        """One number from one number, or from numbers of several values."""
        name = equation.primitive.name
        others = [v for v in given if not isinstance(v, Node)]
        out = equation.outvars[0].aval
        if name in {"add", "sub"} and len(tracked) == 1 and tracked[0].site is not None:
            done = self._sites.with_bias(tracked[0], others[0], sign=-1 if name == "sub" else 1)
            if done is not None:
                (value,) = bound(equation, given)
                node = tracked[0]
                return [self._recorded(done, value, node.sources, node.dims)]
        if any(n.statistic for n in tracked) or (
            name in SCALING and not whole and any(n.normalized for n in tracked)
        ):
            return [self._normalized(equation, given, tracked)]
        bases = {id(base): base for base in map(self._base, tracked)}
        simple = all(np.size(v) <= 1 or is_uniform(v) for v in others)
        same = all(n.value.shape == out.shape for n in tracked)
        if len(bases) == 1 and simple and same:
            return [self._chained(equation, given, next(iter(bases.values())), scope, whole)]
        for node in tracked:
            self._settled(node)
        (value,) = bound(equation, given)
        sources = sources_of(*tracked)
        dims = next((n.dims for n in tracked if n.dims and n.value.shape == out.shape), None)
        if len(tracked) > 1:
            role = "addition" if name in _SUMS else "product"
            joined = Site(role, f"{name}()", place(scope, name))
            return [self._recorded(joined, value, sources, dims)]
        if not jnp.issubdtype(out.dtype, jnp.floating):
            return [Node(value, sources, dims)]
        site = Site("scale", f"{name}()", place(scope, name), "", {"by": "parameter"})
        return [self._recorded(site, value, sources, dims)]

    def _normalized(self, equation: Any, given: Values, tracked: list[Node]) -> Node:
        """A statistic of a value, or the value by such: all one layer, until something reads it."""
        for node in tracked:
            self._settled(node, keep_normal=True)
        (value,) = bound(equation, given)
        every = all(n.statistic for n in tracked)
        dims = next((n.dims for n in tracked if n.dims and not n.statistic), None)
        return Node(value, sources_of(*tracked), dims, statistic=every, normalized=not every)

    def _base(self, node: Node) -> Node:
        if node.chain is not None and node.chain.whole:
            self._settled(node)
        if node.site is not None or node.normalized:
            self._settled(node)
        return node if node.chain is None else node.chain.base

    def _chained(self, equation: Any, given: Values, base: Node, scope: str, whole: str) -> Node:
        def function(x: Any) -> Any:
            parts = [
                v if not isinstance(v, Node) else x if v.chain is None else v.chain.function(x)
                for v in given
            ]
            return bound(equation, parts)[0]

        (value,) = bound(equation, given)
        before = next((v.chain for v in given if isinstance(v, Node) and v.chain), None)
        name = whole or (before.scope.rsplit("/", 1)[-1] if before else equation.primitive.name)
        where = before.scope if before and not whole else "/".join(p for p in (scope, name) if p)
        chain = Chain(base, function, where, bool(whole))
        return Node(value, base.sources, base.dims, chain=chain)

    def _statistic(self, equation: Any, given: Values, tracked: list[Node]) -> Values:
        node = tracked[0]
        if node.chain is None or node.chain.whole:  # else squares, for a variance
            self._settled(node, keep_normal=True)
        sources = node.chain.base.sources if node.chain else node.sources
        return [Node(value, sources, statistic=True) for value in bound(equation, given)]

    def _moved(self, equation: Any, given: Values, tracked: list[Node]) -> Values:
        node = tracked[0]
        waits = len(tracked) == 1 and node.site is not None and len(equation.outvars) == 1
        if not waits:
            for other in tracked:
                self._settled(other, keep_normal=True)
        values = bound(equation, given)
        dims = moved_dims(equation, node)
        return [
            Node(
                value,
                sources_of(*tracked),
                dims,
                site=node.site if waits else None,
                statistic=node.statistic,
                normalized=node.normalized,
            )
            for value in values
        ]

    def _layer(self, equation: Any, given: Values, tracked: list[Node], site: Site) -> Values:
        """A primitive that is a layer by itself, of its first output."""
        for node in tracked:
            self._settled(node)
        if equation.primitive.name == "while":  # through which JAX has no reverse mode
            given = [lax.stop_gradient(v.value) if isinstance(v, Node) else v for v in given]
        values = bound(equation, given)
        sources = sources_of(*tracked)
        if not values:
            return []
        dims = tracked[0].dims if values[0].ndim == tracked[0].value.ndim else None
        if not jnp.issubdtype(values[0].dtype, jnp.floating) or not values[0].size:
            return [Node(v, sources) for v in values]
        first = self._recorded(site, values[0], sources, dims)
        return [first, *(Node(v, first.sources) for v in values[1:])]

    def _settled(self, value: Any, *, keep_normal: bool = False) -> Any:
        """The value as something else reads it: what was put off is recorded."""
        if not isinstance(value, Node):
            return value
        site: Site | None = value.site
        sources = value.sources
        if value.chain is not None:
            site = self._sites.function(value)
            sources = value.chain.base.sources
        elif value.normalized and not keep_normal:
            site = Site("normalization", "normalization", "normalization")
        elif value.statistic and not keep_normal and value.value.ndim > 1:
            site = Site("pooling", "mean()", "mean()")
        if site is not None and jnp.issubdtype(value.value.dtype, jnp.floating):
            done = self._recorded(site, value.value, sources, value.dims)
            value.value, value.sources = done.value, done.sources
        value.chain = value.site = None
        value.normalized = value.normalized and keep_normal
        value.statistic = value.statistic and keep_normal
        return value

    def _recorded(
        self, site: Site, value: Any, sources: tuple[int, ...], dims: tuple[int, ...] | None
    ) -> Node:
        index, value = self._sites.layer(site, value, sources, dims)
        return Node(value, (index,), dims)
