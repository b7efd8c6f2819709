"""The audit of a function says what torch's audit says of the same network."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import selfnorm
from selfnorm.errors import ArgumentError, AuditError, UnsupportedError
from support.jaxed import require_jax
from support.pairs import (
    FIGURES,
    PAIRS,
    WIDTH,
    X,
    arrays,
    assert_alike,
    figures,
    in_torch,
    layers,
    nothing,
    verdict,
)
from support.tolerances import DEAD_SLOPES

require_jax("flax", "equinox")

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

import selfnorm.jax as sn

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "selu": jax.nn.selu,
    "own selu": sn.selu,
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "by hand": lambda x: 1.0507009873554805 * jnp.where(x > 0, x, bent(x)),
}


def bent(x: Array) -> Array:
    return 1.6732632423543772 * (jnp.exp(x) - 1)


def network(
    found: Sequence[nn.Linear], activation: str = "selu"
) -> tuple[Callable[[Any, Array], Array], Any]:
    """The layers as a function of JAX with its weights."""
    ours = ACTIVATIONS[activation]
    params = [{"kernel": kernel, "bias": bias} for kernel, bias in arrays(found)]

    def function(params: Any, x: Array) -> Array:
        for number, part in enumerate(params):
            x = x @ part["kernel"] + part["bias"]
            if number < len(params) - 1:
                x = ours(x)
        return x

    return function, params


@pytest.mark.parametrize("name", list(PAIRS))
def test_pairs_of_networks(name: str) -> None:
    change, activation, x = PAIRS[name]
    found = layers(3, change)
    function, params = network(found, activation)
    ours = sn.audit(function, x, params=params, loss=lambda y: (y * y).mean())
    theirs = selfnorm.audit(
        in_torch(found, activation), torch.from_numpy(x), loss=lambda y: y.square().mean()
    )
    assert_alike(ours, theirs, DEAD_SLOPES)
    assert "torch." not in " ".join(finding.fix for finding in ours.findings)
    assert str(ours)


def test_the_same_through_every_transformation() -> None:
    """jit, checkpoint, vmap and scan hide nothing."""
    found = layers(3, nothing)
    for layer in found:
        layer.weight.detach()[:] *= 1.5
    function, params = network(found, "own selu")
    stacked = jax.tree.map(lambda *parts: np.stack(parts), *params)

    def looped(params: Any, x: Array) -> Array:
        def body(x: Array, part: Any) -> tuple[Array, None]:
            return sn.selu(x @ part["kernel"] + part["bias"]), None

        return jax.lax.scan(jax.checkpoint(body), x, params)[0]

    plain = sn.audit(lambda p, x: sn.selu(function(p, x)), X, params=params)
    ways = {
        "jit": sn.audit(jax.jit(lambda p, x: sn.selu(function(p, x))), X, params=params),
        "vmap": sn.audit(
            lambda p, x: jax.vmap(lambda row: sn.selu(function(p, row)))(x), X, params=params
        ),
        "scan": sn.audit(looped, X, params=stacked),
    }
    for name, report in ways.items():
        assert verdict(report) == verdict(plain), name
        for mine, other in zip(report.layers, plain.layers, strict=True):
            np.testing.assert_allclose(figures(mine), figures(other), rtol=FIGURES, atol=FIGURES)
            np.testing.assert_allclose(mine.gradient, other.gradient, rtol=FIGURES)
    assert [layer.name for layer in ways["scan"].layers[::2]] == [
        "kernel[0]",
        "kernel[1]",
        "kernel[2]",
    ]


def test_names_of_equinox() -> None:
    model = eqx.nn.MLP(WIDTH, 3, WIDTH, 2, activation=jax.nn.selu, key=jax.random.key(0))
    report = sn.audit(jax.vmap(model), X)
    assert report.recording.model == "MLP"
    names = [layer.name for layer in report.layers if layer.role == "linear"]
    assert names == ["layers.0", "layers.1", "layers.2"]
    assert report.findings[0].rule == "selu-without-lecun"
    assert "selfnorm.jax.init.initialize(model, key)" in report.findings[0].fix
    mended = sn.init.initialize(model, jax.random.key(1))
    closed = sn.audit(lambda x: jax.vmap(mended)(x) + 0, X)
    assert closed.ok, closed
    assert [layer.name for layer in closed.layers if layer.role == "linear"] == names


class Net(nnx.Module):
    """With what does not belong into a network that normalizes itself."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = nnx.Linear(WIDTH, WIDTH, rngs=rngs)
        self.norm = nnx.BatchNorm(WIDTH, rngs=rngs)
        self.drop = nnx.Dropout(0.3, rngs=rngs)
        self.last = nnx.Linear(WIDTH, 3, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        return self.last(self.drop(jax.nn.selu(self.norm(self.first(x)))))


def test_norms_and_dropout_of_flax() -> None:
    net = Net(nnx.Rngs(0))
    net.eval()
    before = jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.split(net, nnx.Param, ...)[1]))
    report = sn.audit(net, X)
    roles = [layer.role for layer in report.layers]
    assert roles == ["linear", "normalization", "activation", "dropout", "linear"]
    assert report.layers[3].settings["p"] == 0.3
    assert {"plain-dropout", "leftover-normalization"} <= {f.rule for f in report.findings}
    assert [layer.name for layer in report.layers if layer.weights] == ["first", "last"]
    after = nnx.to_pure_dict(nnx.split(net, nnx.Param, ...)[1])
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), before, after))
    assert net.drop.deterministic


def test_residuals_and_dropout_by_hand() -> None:
    key = jax.random.key(2)
    weights = [sn.init.lecun_normal(exact=True)(jax.random.key(i), (WIDTH, WIDTH)) for i in (0, 1)]

    def function(weights: Any, x: Array) -> Array:
        with jax.named_scope("block"):
            h = sn.selu_alpha_dropout(key, x @ weights[0], 0.1)
            kept = jax.random.bernoulli(key, 0.8, x.shape)
            h = jnp.where(kept, h + x @ weights[0], -1.7580993408473766)
        return jnp.concatenate((h, x), 1)[:, :WIDTH] @ weights[1]

    report = sn.audit(function, X, params=weights)
    found = [(layer.name, layer.role) for layer in report.layers]
    assert ("block/selu_alpha_dropout()", "activation") in found
    assert ("block/add()", "addition") in found
    assert ("block/alpha_dropout()", "alpha dropout") in found
    assert ("concatenate()", "concatenation") in found
    assert next(k for k in report.layers if k.activation == "selu").settings["p"] == 0.1


def test_sums_over_neighbors() -> None:
    """By a matrix that is given, by one that is closed over, and by an index."""
    weights = [sn.init.lecun_normal()(jax.random.key(i), (WIDTH, WIDTH)) for i in (0, 1)]
    groups = jnp.arange(len(X)) // 8
    graph = (groups[:, None] == groups).astype(jnp.float32)

    def given(weights: Any, x: Array, graph: Array) -> Array:
        return sn.selu(graph @ sn.selu(x @ weights[0])) @ weights[1]

    def held(weights: Any, x: Array) -> Array:
        return given(weights, x, graph)

    def index(weights: Any, x: Array) -> Array:
        x = jax.ops.segment_sum(sn.selu(x @ weights[0]), groups, num_segments=len(X) // 8)
        return sn.selu(x) @ weights[1]

    def mixed(weights: Any, x: Array) -> Array:
        return sn.selu((x.T @ weights[0]).T) @ weights[1]

    for function, more in ((given, (graph,)), (held, ()), (index, ())):
        report = sn.audit(function, X, *more, params=weights)
        roles = [layer.role for layer in report.layers]
        assert roles[:3] == ["linear", "activation", "aggregation"], function.__name__
        assert ("aggregation", "warning") in verdict(report)
    rows = X[:WIDTH]
    assert [k.role for k in sn.audit(mixed, rows, params=weights).layers].count("linear") == 2
    closed = sn.audit(lambda x: held(weights, x), X)
    assert "aggregation" not in {layer.role for layer in closed.layers}, "it may be a weight"


def test_custom_derivatives_hide_nothing() -> None:
    weights = [sn.init.lecun_normal()(jax.random.key(i), (WIDTH, WIDTH)) for i in (0, 1)]

    @jax.custom_vjp
    def block(x: Array, weight: Array) -> Array:
        return sn.selu(x @ weight)

    def forward(x: Array, weight: Array) -> tuple[Array, tuple[Array, Array]]:
        return block(x, weight), (x, weight)

    def backward(held: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
        return jax.vjp(lambda *given: sn.selu(given[0] @ given[1]), *held)[1](gradient)

    block.defvjp(forward, backward)

    def function(weights: Any, x: Array) -> Array:
        with jax.named_scope("net"):
            return block(x, weights[0]) @ weights[1]

    report = sn.audit(function, X, params=weights)
    assert [layer.role for layer in report.layers] == ["linear", "activation", "linear"]
    assert report.layers[1].name == "net/selu()"
    assert report.layers[0].gradient > 0


def test_convolutions() -> None:
    torch.manual_seed(0)
    conv, after = nn.Conv2d(4, 8, 3, padding=1, groups=2), nn.ConvTranspose2d(8, 6, 3, stride=2)
    selfnorm.init.initialize_(nn.ModuleList([conv, after]))
    x = torch.randn(16, 4, 6, 6)
    theirs = selfnorm.audit(nn.Sequential(conv, nn.SELU(), after), x)
    kernel, second = (layer.weight.detach().numpy().copy() for layer in (conv, after))

    def function(params: Any, x: Array) -> Array:
        x = jax.lax.conv_general_dilated(x, params[0], (1, 1), [(1, 1)] * 2, feature_group_count=2)
        flipped = jnp.flip(params[1], (2, 3)).transpose(1, 0, 2, 3)
        return jax.lax.conv_general_dilated(
            jax.nn.selu(x), flipped, (1, 1), [(2, 2)] * 2, lhs_dilation=(2, 2)
        )

    ours = sn.audit(function, x.numpy(), params=(kernel, second))
    assert verdict(ours) == verdict(theirs)
    for mine, other in zip(ours.layers, theirs.layers, strict=True):
        for name in ("mean", "variance", "data_gain", "tau", "omega_size"):
            a, b = getattr(mine, name), getattr(other, name)
            np.testing.assert_allclose(a, b, rtol=FIGURES, atol=FIGURES, err_msg=name)
        assert mine.settings.get("padding", 0) == pytest.approx(other.settings.get("padding", 0))


def test_what_cannot_be_audited() -> None:
    with pytest.raises(UnsupportedError, match="got int"):
        sn.audit(3, X)
    with pytest.raises(ArgumentError, match="at least one row; got none"):
        sn.audit(jnp.tanh)
    with pytest.raises(ArgumentError, match="nothing that it returns"):
        sn.audit(lambda _: jnp.ones(3), X)
    with pytest.raises(ArgumentError, match=r"got shape \(128, 24\)"):
        sn.audit(jnp.tanh, X, loss=lambda y: y)
    weight = 3 * sn.init.lecun_normal()(jax.random.key(0), (WIDTH, WIDTH))
    with pytest.raises(AuditError, match="not self-normalizing"):
        sn.audit(lambda x: sn.selu(x @ weight) @ weight, X, strict=True)
    report = sn.audit(
        lambda x: jax.lax.while_loop(lambda v: v.max() > 9, lambda v: v / 2, x) @ weight, X
    )
    assert ("unknown-layer", "note") in verdict(report)
