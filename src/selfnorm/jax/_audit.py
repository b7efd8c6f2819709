"""Is this function self-normalizing, and why not?"""

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from selfnorm.auditing import Report
from selfnorm.auditing._judged import judged
from selfnorm.auditing._rules import Rule, select
from selfnorm.errors import ArgumentError, UnsupportedError
from selfnorm.jax.trace import record

_WORDS = (
    ('selfnorm.init.initialize_(model, distribution="orthogonal")',
     'selfnorm.jax.init.initialize(model, key, distribution="orthogonal")'),
    ("selfnorm.optim.keep_orthogonal(optimizer, model)",
     "optax.chain(optimizer, selfnorm.jax.keep_orthogonal())"),
    ("initialize_(model, exact=True)", "selfnorm.jax.init.initialize(model, key, exact=True)"),
    ("selfnorm.init.initialize_(model)", "selfnorm.jax.init.initialize(model, key)"),
    ("selfnorm.init.lecun_normal_ for this weight", "selfnorm.jax.init.lecun_normal()"),
    ("torch.nn.init.zeros_(layer.bias)", "jax.numpy.zeros_like(bias)"),
    ("selfnorm.nn.SELUAlphaDropout", "selfnorm.jax.selu_alpha_dropout, of "),
    ("selfnorm.nn.SELU()", "selfnorm.jax.selu"),
    ("selfnorm.convert(model), or ", ""),
    (("; or before training selfnorm.convert(model, example=inputs), which sizes the weights "
     "behind it for that"), ""),
    (("selfnorm.convert(model, norms='fold', init=None) folds it into the layer before, or removes "
     "it, and keeps the weights; what it cannot trace, it names."), "Leave the normalization out."),
    (("selfnorm.convert(model, norms='remove', init=None) takes it out where a module does no "
     "more; else leave out"), "Leave out"),
    ("; selfnorm.convert does it where it can trace it", ""),
    (": selfnorm.convert does it.", "."),
)  # fmt: skip


def audit(
    fn: Callable[..., Any],
    *args: Any,
    params: Any = None,
    loss: Callable[[Any], Any] | None = None,
    strict: bool = False,
    rules: Iterable[str | Rule] | None = None,
    **kwargs: Any,
) -> Report:
    r"""Is this function self-normalizing, and if not, why not and what to do?

    The function is traced once, and its jaxpr evaluated primitive by primitive: products with
    weights, convolutions, and whatever computes each number by itself, of which the values tell
    which activation it is. Gradients come of a second evaluation, by zeros that are added to each
    layer. `jit`, `scan`, `cond`, `remat`, `vmap` and custom derivatives are gone into. Then the
    same theory and rules judge as in `selfnorm.audit` for PyTorch, with the same report.

    What depends on `args` and `kwargs` are activations; everything else is a weight: `params`,
    the arrays of a module, what a function closes over. Only sums over rows, as those of a graph's
    neighbors, are by weights if these are `params`, where such are given. Names are those of
    modules' attributes, of `params`' keys, and of `jax.named_scope`.

    Args:
        fn: A function `fn(*args)`, or `fn(params, *args)` if those are given; a Flax NNX module,
            which is looked at in training mode, as a copy; an Equinox module, or `jax.vmap` of one.
        args: What it is called with. Some hundred rows of real data say most. Keys of
            `jax.random` are no inputs.
        params: A tree of weights, the first argument.
        loss: `loss(output)`: a scalar to differentiate. Without it gradients start from random
            numbers.
        strict: Raise `AuditError` if there are errors or warnings.
        rules: Names of rules, or functions, to judge by; all that are registered if None.
        kwargs: More of what it is called with.

    Returns:
        A `Report`. `print` shows it, `to_html` writes it as a page, `ok` says whether all is well.

    Raises:
        UnsupportedError: `fn` cannot be called.
        ArgumentError: There is nothing in the inputs, nothing depends on them, the loss is not a
            scalar, or a rule does not exist.
        AuditError: With `strict`; its `report` holds the report.

    Source: Klambauer et al. 2017, Eq. 4, 5 and theorem 1, and for gradients Schoenholz et al. 2017.

    Example:
        >>> import selfnorm.jax as sn
        >>> weights = [sn.init.lecun_normal()(jax.random.key(i), (64, 64)) for i in range(3)]
        >>> def network(weights, x):
        ...     for w in weights[:-1]:
        ...         x = sn.selu(x @ w)
        ...     return x @ weights[-1]
        >>> x = jax.random.normal(jax.random.key(9), (256, 64))
        >>> audit(network, x, params=weights).ok
        True
        >>> weights[1] = 1.4 * weights[1]
        >>> audit(network, x, params=weights).findings[0].rule
        'wrong-init'
    """
    chosen = select(rules)
    if not callable(fn):
        raise UnsupportedError(
            f"audit looks at a function or a module that can be called; got {type(fn).__name__}. "
            "Of a Linen module pass lambda params, x: model.apply(params, x), and params."
        )
    called, held = _with_weights(fn, params)
    own_names = _named(held)
    names = _names(fn) | own_names
    leaves, structure = jax.tree.flatten((held, args, kwargs))
    arrays = [jnp.asarray(leaf) if _is_number(leaf) else leaf for leaf in leaves]
    names |= {id(a): names[id(leaf)] for a, leaf in zip(arrays, leaves) if id(leaf) in names}  # noqa: B905
    own = len(jax.tree.leaves(held))
    inputs = [i >= own and _is_input(a) for i, a in enumerate(arrays)]
    if not any(inputs) or any(a.size == 0 for a, is_input in zip(arrays, inputs) if is_input):  # noqa: B905
        raise ArgumentError(
            "inputs must hold at least one row; got none. Some hundred rows are best."
        )
    traced = [a for a in arrays if _is_array(a)]
    shape: list[Any] = []

    def flat(*found: Any) -> list[Any]:
        rest = iter(found)
        whole = [next(rest) if _is_array(a) else a for a in arrays]
        own, positional, named = jax.tree.unflatten(structure, whole)
        leaves, tree = jax.tree.flatten(called(own, *positional, **named))
        shape[:] = [tree]
        return [leaf for leaf in leaves if _is_number(leaf)]

    closed = jax.make_jaxpr(flat)(*traced)
    used = [is_input for a, is_input in zip(arrays, inputs) if _is_array(a)]  # noqa: B905
    of_outputs = None if loss is None else lambda out: loss(jax.tree.unflatten(shape[0], out))
    title = _title(fn)
    learned = frozenset(own_names.values()) or None
    recording = record(closed, traced, used, names, title, of_outputs, learned)
    return judged(recording, chosen, words=_WORDS, what="function", strict=strict)


def _with_weights(fn: Any, params: Any) -> tuple[Callable[..., Any], Any]:
    """A function of weights first, and its weights."""
    if params is not None:
        return fn, params
    nnx = sys.modules.get("flax.nnx")
    if nnx is not None and isinstance(fn, nnx.Module):
        graph, state = nnx.split(fn)

        def run(state: Any, *args: Any, **kwargs: Any) -> Any:
            model = nnx.merge(graph, state)
            model.train()
            return model(*args, **kwargs)

        return run, state
    return lambda _held, *args, **kwargs: fn(*args, **kwargs), ()


def _title(fn: Any) -> str:
    """What to call a function or module in a report."""
    inner = _unwrapped(fn)
    return inner.__name__ if inspect.isroutine(inner) else type(inner).__name__


def _names(fn: Any) -> dict[int, str]:
    """Of arrays that a module holds, or that a function closes over."""
    found: dict[int, str] = {}
    for name, held in _holders(fn):
        found |= _named(held, name)
    return found


def _holders(fn: Any) -> Iterator[tuple[str, Any]]:
    """What may hold arrays, with the name before theirs: none for the only one."""
    inner = _unwrapped(fn)
    if not inspect.isfunction(inner):
        yield "", inner
        yield "", getattr(inner, "__self__", None)
        return
    closed = inspect.getclosurevars(inner)
    used = {name: _unwrapped(v) for name, v in {**closed.nonlocals, **closed.globals}.items()}
    holding = {n: v for n, v in used.items() if any(map(_is_array, jax.tree.leaves(v)))}
    for name, value in holding.items():
        yield ("" if len(holding) == 1 and not _is_array(value) else name), value


def _unwrapped(fn: Any) -> Any:
    """The function or module within `jax.vmap`, `jax.jit` and the like."""
    return inspect.unwrap(fn) if hasattr(fn, "__wrapped__") else fn


def _named(tree: Any, prefix: str = "") -> dict[int, str]:
    """Paths of a tree's arrays: `layers[0].weight`, `params.Dense_0.kernel`."""
    found: dict[int, str] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if _is_array(leaf):
            name = jax.tree_util.keystr(path, simple=True, separator=".").removesuffix(".value")
            found[id(leaf)] = ".".join(part for part in (prefix, name) if part) or prefix
    return found


def _is_array(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and hasattr(leaf, "shape")


def _is_number(leaf: Any) -> bool:
    return _is_array(leaf) or (
        isinstance(leaf, int | float | complex) and not isinstance(leaf, bool)
    )


def _is_input(leaf: Any) -> bool:
    """Whether it is data: numbers, and no key."""
    if not _is_array(leaf):
        return False
    return not (
        jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        or (leaf.dtype == jnp.uint32 and leaf.shape == (2,))
    )
