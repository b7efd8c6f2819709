"""Modules for Flax NNX and Equinox, and weights that stay orthogonal while optax trains them."""

from typing import Any

import numpy as np
import pytest

from selfnorm.errors import ArgumentError
from support.jaxed import require_jax
from support.statistics import assert_moments, kurtosis_of

require_jax("flax", "equinox", "optax")

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from flax import nnx

import selfnorm.jax as sn

KEY = jax.random.key(4, impl="rbg")
X = jax.random.normal(KEY, (200, 16))


def test_equinox_dropout_keeps_moments_and_is_off_in_inference() -> None:
    drop = sn.equinox.AlphaDropout(0.3)
    x = jax.random.normal(KEY, (50_000,))
    z = drop(x, key=KEY)
    assert_moments(z, kurtosis=kurtosis_of(z))
    assert eqx.nn.inference_mode(drop)(x) is x
    assert drop(x, inference=True) is x
    with pytest.raises(ArgumentError, match=r"got none\. Pass key="):
        drop(x)
    with pytest.raises(ArgumentError, match=r"1\.5"):
        sn.equinox.AlphaDropout(1.5)


def test_equinox_mlp() -> None:
    model = sn.equinox.MLP(16, 3, width=16, depth=2, dropout=0.2, key=KEY)
    assert [layer.weight.shape for layer in model.layers] == [(16, 16), (16, 16), (3, 16)]
    assert not model.layers[0].bias.any()
    quiet = eqx.nn.inference_mode(model)
    assert jax.vmap(quiet)(X).shape == (200, 3)
    keys = jax.random.split(KEY, 200)
    noisy = jax.vmap(lambda x, key: model(x, key=key))(X, keys)
    assert bool((noisy != jax.vmap(quiet)(X)).any())
    assert sn.equinox.SELU()(X[0]).shape == (16,)


def test_nnx_mlp_follows_the_mode() -> None:
    model = sn.nnx.MLP(
        16, 3, width=16, depth=2, dropout=0.2, weights="orthogonal", rngs=nnx.Rngs(0)
    )
    first = model(X)
    assert first.shape == (200, 3)
    assert bool((model(X) != first).any()), "another mask"
    model.eval()
    assert bool((model(X) == model(X)).all())
    kernel = np.asarray(model.layers[0].kernel.get_value(), np.float64)
    assert abs(kernel @ kernel.T - np.eye(16)).max() < 1e-5
    drop = sn.nnx.AlphaDropout(0.3)
    with pytest.raises(ArgumentError, match="got no rngs"):
        drop(X)
    drop.eval()
    assert drop(X) is X
    assert sn.nnx.SELU()(X).shape == X.shape


def gram_error(matrix: Any, scale: float) -> float:
    a = np.asarray(matrix, np.float64) / scale
    a = a if a.shape[0] <= a.shape[1] else a.T
    return float(np.linalg.norm(a @ a.T - np.eye(len(a)), 2))


def test_weights_become_orthogonal_and_stay_so() -> None:
    params = {
        "square": {"weight": jax.random.normal(KEY, (8, 8)) / 8**0.5},
        "wide": {"weight": jax.random.normal(KEY, (16, 8)) / 8**0.5, "bias": jnp.ones(16)},
        "window": {"kernel": 5 * jax.random.normal(KEY, (3, 4, 6))},
        "embedding": {"weight": jnp.ones((5, 4))},
    }
    optimizer = optax.chain(optax.adam(0.01), sn.keep_orthogonal())
    state = optimizer.init(params)

    @jax.jit
    def step(params: Any, state: Any, key: Any) -> tuple[Any, Any]:
        grads = jax.tree.map(lambda p: jax.random.normal(key, p.shape), params)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    for number in range(4):
        params, state = step(params, state, jax.random.fold_in(KEY, number))
        assert gram_error(params["square"]["weight"], 1.0) <= 0.02 * 1.1
        assert gram_error(params["wide"]["weight"], 2**0.5) <= 0.02 * 1.1
        flat = params["window"]["kernel"].reshape(12, 6).T
        assert gram_error(flat, 1.0) <= 0.02 * 1.1
    assert bool((params["wide"]["bias"] != 1).all())
    assert gram_error(params["embedding"]["weight"], 1.0) > 1


def test_a_mask_and_an_interval() -> None:
    params = {"a": jnp.diag(jnp.asarray([2.0, 1.0])), "b": 2 * jnp.eye(2)}
    keeper = sn.keep_orthogonal(lambda name, _: name == "a", every=2)
    state = keeper.init(params)
    none = jax.tree.map(jnp.zeros_like, params)
    updates, state = keeper.update(none, state, params)
    assert not updates["b"].any()
    kept = optax.apply_updates(params, updates)
    assert gram_error(kept["a"], 1.0) <= 0.02
    updates, state = keeper.update(none, state, params)
    assert not updates["a"].any(), "every second step"


def test_arguments_that_break_a_rule() -> None:
    with pytest.raises(ArgumentError, match=r"at most .5; got 0\.9"):
        sn.keep_orthogonal(tolerance=0.9)
    with pytest.raises(ArgumentError, match=r"got 0\. Choose"):
        sn.keep_orthogonal(every=0)
    with pytest.raises(ArgumentError, match="of bias nothing is left"):
        sn.keep_orthogonal().init({"bias": jnp.ones(3)})
    keeper = sn.keep_orthogonal()
    state = keeper.init({"w": jnp.eye(2)})
    with pytest.raises(ArgumentError, match="got no parameters"):
        keeper.update({"w": jnp.eye(2)}, state)
