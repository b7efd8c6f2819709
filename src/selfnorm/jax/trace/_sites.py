"""What layers are, decided once and remembered, so that a second evaluation sees the same."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np

from selfnorm.jax.trace._curves import curve_of
from selfnorm.jax.trace._linear import Product, convolution, dot_product
from selfnorm.jax.trace._node import Node, Site
from selfnorm.recording._layer import CURVE
from selfnorm.theory import selu_constants

T = TypeVar("T")
Seen = Callable[[int, Site, Any, tuple[int, ...], tuple[int, ...] | None], Any]
_FLOOR = selu_constants().saturation
_SLICED = re.compile(r"(\[\d+\])+$")
_FOLLOWED = {"transpose", "reshape", "convert_element_type", "squeeze", "copy", "copy_p"}


class Sites:
    """Layers in their order.

    Args:
        names: Of arrays, by `id`.
        seen: Is told of each layer, and gives the value to go on with.
        memory: Decisions of an evaluation before this one.
        learned: Names of all parameters; None if whatever is no input may be one.
    """

    def __init__(
        self,
        names: Mapping[int, str],
        seen: Seen,
        memory: Sequence[Any] | None = None,
        learned: frozenset[str] | None = None,
    ) -> None:
        self.names = dict(names)
        self._parameters = learned
        self._weighed: set[int] = set()  # layers that have weights, or weights before them
        self.count = 0
        self.memory: list[Any] = list(memory or ())
        self._replays = memory is not None
        self._at = 0
        self._seen = seen
        self._held: list[Any] = []  # so that no other array gets the id of a named one

    def decided(self, make: Callable[[], T]) -> T:
        """What was decided at this place the first time."""
        if self._replays:
            self._at += 1
            return self.memory[self._at - 1]
        found = make()
        self.memory.append(found)
        return found

    def layer(
        self, site: Site, value: Any, sources: tuple[int, ...], dims: tuple[int, ...] | None
    ) -> tuple[int, Any]:
        """A layer's index, and the value to go on with."""
        index = self.count
        self.count += 1
        if site.weight is not None or self._weighed.intersection(sources):
            self._weighed.add(index)
        return index, self._seen(index, site, value, sources, dims)

    # Names

    def derived(self, primitive: str, given: Sequence[Any], outputs: Sequence[Any]) -> None:
        """A named array that was moved or cast keeps its name."""
        names = [self.names[id(v)] for v in given if id(v) in self.names]
        if primitive in _FOLLOWED and names and len(outputs) == 1:
            self._name(outputs[0], names[0])

    def sliced(self, whole: Any, part: Any, index: int) -> None:
        """A part of a named array, as a loop takes it."""
        if id(whole) in self.names:
            self._name(part, f"{self.names[id(whole)]}[{index}]")

    def _name(self, value: Any, name: str) -> None:
        self.names[id(value)] = name
        self._held.append(value)

    # Kinds

    def weighted(
        self, equation: Any, given: Sequence[Any], read: Node, scope: str
    ) -> tuple[Product, Site]:
        """A product with weights, and what is known of it before its bias."""
        return self.decided(lambda: self._weighted(equation, given, read, scope))

    def _weighted(
        self, equation: Any, given: Sequence[Any], read: Node, scope: str
    ) -> tuple[Product, Site]:
        if equation.primitive.name == "dot_general":
            product = dot_product(equation.params, *given)
        else:
            product = convolution(equation.params, read, given[1])
        own = next(v for v in given if not isinstance(v, Node))
        weight = self.names.get(id(own), "")
        module = weight.rpartition(".")[0]
        settings = {"padding": product.padding} if product.kind != "Linear" else {}
        name = module or weight or f"{scope}/{equation.primitive.name}()".lstrip("/")
        return product, Site(
            "linear",
            product.kind,
            name,
            settings=settings,
            weight=product.weight,
            weight_name=weight or f"{name}.weight",
            groups=product.groups,
            steps=product.steps,
            read=Node(read.value, read.sources, read.dims),
            terms=product.terms,
        )

    def aggregates(self, params: dict[str, Any], given: Sequence[Any]) -> bool:
        """Whether a `dot_general` sums nodes, rows or positions by numbers that nobody learns."""

        def make() -> bool:
            learned = [self._is_learned(value) for value in given]
            nodes = [k for k, value in enumerate(given) if isinstance(value, Node)]
            moving = [k for k in nodes if learned[k]] or nodes[-1:]
            if len(moving) != 1 or learned[1 - moving[0]]:
                return False
            node = given[moving[0]]
            units = {d % node.value.ndim for d in node.dims or (-1,)}
            return not units.intersection(params["dimension_numbers"][0][moving[0]])

        return self.decided(make)

    def _is_learned(self, value: Any) -> bool:
        """Whether it is a parameter, or weights stand before it."""
        if isinstance(value, Node):
            base = value if value.chain is None else value.chain.base
            own = base.site is not None and base.site.weight is not None
            return own or bool(self._weighed.intersection(base.sources))
        name = self.names.get(id(value), "")
        return self._parameters is None or _SLICED.sub("", name) in self._parameters

    def with_bias(self, node: Node, other: Any, sign: int) -> Site | None:
        """A product with its bias, if what is added is one number for each unit."""

        def make() -> Site | None:
            site, values = node.site, np.asarray(other)
            dims = {d % node.value.ndim for d in node.dims or (-1,)}
            shape = (1,) * (node.value.ndim - values.ndim) + values.shape
            if site is None or any(s > 1 and d not in dims for d, s in enumerate(shape)):
                return None
            units = [node.value.shape[d] if d in dims else 1 for d in range(node.value.ndim)]
            spread = np.broadcast_to(values.reshape(shape), units).ravel()
            return replace(site, bias=sign * spread.astype(np.float64))

        return self.decided(make)

    def embedding(self, table: Any, scope: str) -> Site:
        """Rows that are looked up."""

        def make() -> Site:
            name = self.names.get(id(table), "")
            where = name.rpartition(".")[0] or f"{scope}/gather()".lstrip("/")
            weight = jnp.reshape(table, (table.shape[0], -1))
            return Site("embedding", "Embedding", where, weight=weight, weight_name=name or where)

        return self.decided(make)

    def dropout(
        self, mask: Any, constant: Any, kept_where: bool, node: Node, scope: str
    ) -> tuple[Site | None, bool]:
        """A dropout, if a mask sets numbers to 0, or to where SELU saturates.

        And whether the factor 1 / (1 - p) before it belongs to it.
        """

        def make() -> tuple[Site | None, bool]:
            flat = np.asarray(constant, np.float64).ravel()
            drawn = np.asarray(mask)
            if not flat.size or (flat != flat[0]).any() or drawn.size < 2:
                return None, False
            p = float(np.mean(drawn != kept_where))
            if abs(flat[0] - _FLOOR) < 1e-3:
                name = f"{scope}/alpha_dropout()".lstrip("/")
                return Site("alpha dropout", "alpha_dropout()", name, settings={"p": p}), False
            if flat[0] != 0:
                return None, False
            line = None
            if node.chain is not None and not node.chain.whole:
                line = curve_of(node.chain.function, node.chain.base.value).line
            scaled = line is not None and line[0] > 1 and not line[1]
            if line is not None and scaled:
                p = 1 - 1 / line[0]
            name = f"{scope}/dropout()".lstrip("/")
            return Site("dropout", "dropout()", name, settings={"p": round(p, 6)}), scaled

        return self.decided(make)

    def function(self, node: Node) -> Site | None:
        """What a chain of elementwise functions is; None if it changes nothing."""

        def make() -> Site | None:
            chain = node.chain
            if chain is None or not jnp.issubdtype(node.value.dtype, jnp.floating):
                return None
            scope, _, name = chain.scope.rpartition("/")
            where = f"{scope}/{name}()".lstrip("/")
            base = chain.base.value
            if not jnp.issubdtype(base.dtype, jnp.floating):
                return None
            curve = curve_of(chain.function, base)
            if curve.line is not None:
                factor, offset = curve.line
                if abs(factor - 1) < 1e-6 and not offset:
                    return None
                settings: dict[str, Any] = {"by": "number"} | ({} if offset else {"factor": factor})
                return Site("scale", f"{name}()", where, "", settings)
            settings = {} if curve.values is None else {CURVE: curve.values}
            settings |= {"inplace": False, "ours": False, "keeps_output": False}
            called = curve.name or name
            where = f"{scope}/{called}()".lstrip("/") if curve.name else where
            return Site("activation", f"{called}()", where, called, settings)

        return self.decided(make)
