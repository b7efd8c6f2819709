"""LeCun's weights in JAX: moments, orthogonality, fan-ins, and models that are mended."""

from collections.abc import Iterator

import numpy as np
import pytest

from selfnorm.errors import ArgumentError, SelfNormWarning, UnsupportedError
from support.jaxed import require_jax
from support.rounding import singular_bound, unit_bounds
from support.statistics import assert_moments

require_jax("flax", "equinox")

import equinox as eqx
import jax
import jax.numpy as jnp
import torch
from flax import linen, nnx
from jax import Array

from selfnorm.jax.init import initialize, lecun_normal, lecun_orthogonal

KEY = jax.random.key(5)
# The arithmetic before the last rounding is float32's, too; `unit_bounds` counts float64's.
OMEGA, SQUARES = (16 * bound for bound in unit_bounds(64, torch.float32))


@pytest.fixture(autouse=True, scope="module")
def _compiled_quickly() -> Iterator[None]:
    """Each weight is a program that runs once; most of the time LLVM would optimize them."""
    name = "jax_disable_most_optimizations"
    before = jax.config.values[name]
    jax.config.update(name, True)
    yield
    jax.config.update(name, before)


def assert_exact(matrix: Array, square: float = 1.0) -> None:
    """Rows of mean 0 and sum of squares `square`."""
    rows = np.asarray(matrix, np.float64)
    assert abs(rows.sum(-1)).max() <= OMEGA * max(square, 1)
    assert abs((rows**2).sum(-1) - square).max() <= SQUARES * max(square, 1)


def test_variance_is_one_by_fan_in() -> None:
    assert_moments(lecun_normal()(KEY, (3, 3, 20, 300)), variance=1 / 180)
    assert_moments(lecun_normal(1, 0)(KEY, (300, 20, 9)), variance=1 / 180)
    assert_moments(lecun_normal(batch_axis=0)(KEY, (9, 40, 100)), variance=1 / 40)
    assert_moments(lecun_normal(fan_in=4)(KEY, (50, 100)), variance=1 / 4)
    half = lecun_normal(dtype=jnp.bfloat16)(KEY, (50, 100))
    assert half.dtype == jnp.bfloat16


def test_exact_units() -> None:
    assert_exact(lecun_normal(exact=True)(KEY, (64, 30)).T)
    assert_exact(lecun_normal(1, 0, exact=True)(KEY, (30, 16, 4)).reshape(30, 64))
    assert_exact(lecun_normal(exact=True, fan_in=128)(KEY, (64, 30)).T, 0.5)


@pytest.mark.parametrize(("inputs", "units"), [(24, 24), (12, 24), (24, 12)])
def test_singular_values_are_one_number(inputs: int, units: int) -> None:
    weight = lecun_orthogonal()(KEY, (inputs, units))
    scale = max(1.0, (units / inputs) ** 0.5)
    found = np.linalg.svd(np.asarray(weight, np.float64), compute_uv=False)
    bound = 16 * singular_bound(inputs, units, torch.float32, scale)
    assert abs(found - scale).max() <= bound


def test_orthogonal_matrices_are_by_window_and_batch() -> None:
    window = np.asarray(lecun_orthogonal()(KEY, (3, 3, 4, 24)), np.float64).reshape(36, 24)
    bound = 16 * singular_bound(36, 24, torch.float32)
    assert abs(window.T @ window - np.eye(24)).max() <= 2 * bound
    batch = np.asarray(lecun_orthogonal(batch_axis=0)(KEY, (3, 8, 8)), np.float64)
    assert abs(batch @ batch.transpose(0, 2, 1) - np.eye(8)).max() <= 2 * bound
    assert abs(batch[0] - batch[1]).max() > 0.1


def test_arguments_that_break_a_rule() -> None:
    with pytest.raises(ArgumentError, match="got axes"):
        lecun_normal()(KEY, (5,))
    with pytest.raises(ArgumentError, match="got axes"):
        lecun_normal(-1, 1)(KEY, (5, 5))
    with pytest.raises(ArgumentError, match="one a unit"):
        lecun_normal(exact=True)(KEY, (1, 5))
    with pytest.raises(ArgumentError, match="so positive; got 0"):
        lecun_normal(fan_in=0)
    with pytest.raises(UnsupportedError, match="got dtype int32"):
        lecun_normal()(KEY, (5, 5), jnp.int32)
    with pytest.raises(ArgumentError, match="Choose one"):
        initialize({"w": jnp.ones((2, 2))}, KEY, distribution="uniform")  # pyright: ignore
    with pytest.raises(UnsupportedError, match="got list"):
        initialize([1, 2], KEY)


def test_equinox_layers() -> None:
    layers = {
        "linear": eqx.nn.Linear(64, 10, key=KEY),
        "conv": eqx.nn.Conv1d(32, 10, 4, groups=2, key=KEY),
        "transposed": eqx.nn.ConvTranspose1d(64, 10, 3, stride=2, key=KEY),
        "gru": eqx.nn.GRUCell(64, 64, key=KEY),
        "norm": eqx.tree_at(lambda m: m.weight, eqx.nn.LayerNorm(4), jnp.full(4, 3.0)),
        "embedding": eqx.nn.Embedding(64, 64, key=KEY),
        "own": jnp.full(3, 7.0),
        "names": ("relu", jax.nn.relu, 3),
    }
    with pytest.warns(SelfNormWarning, match=r"as it is: \['own'\]\. Name"):
        found = initialize(layers, KEY, exact=True)
    assert_exact(found["linear"].weight)
    assert_exact(found["conv"].weight.reshape(10, 64))
    for phase, taps in ((0, 2), (1, 1)):
        part = found["transposed"].weight[..., phase::2]
        assert part.shape[2] == taps
        assert_exact(part.reshape(10, -1))
    assert_exact(found["gru"].weight_ih, 0.5)
    assert_exact(found["gru"].weight_hh, 0.5)
    assert not found["linear"].bias.any()
    assert bool((found["norm"].weight == 1).all())
    assert_exact(found["embedding"].weight, 64.0)
    assert bool((found["own"] == 7).all())
    assert found["names"] == layers["names"]
    assert bool(layers["linear"].bias.any()), "the given model stays"


def test_equinox_gates_are_orthogonal_one_by_one() -> None:
    cell = initialize(eqx.nn.LSTMCell(8, 8, key=KEY), KEY, distribution="orthogonal")
    whole = np.concatenate((cell.weight_ih, cell.weight_hh), 1).reshape(4, 8, 16)
    assert abs(whole @ whole.transpose(0, 2, 1) - np.eye(8)).max() <= 1e-5


class Net(nnx.Module):
    """One layer of each kind."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.layers = nnx.List([nnx.Linear(64, 8, rngs=rngs), nnx.Linear(64, 8, rngs=rngs)])
        self.conv = nnx.Conv(32, 8, (2,), rngs=rngs)
        self.attention = nnx.MultiHeadAttention(4, 64, rngs=rngs)
        self.cell = nnx.GRUCell(64, 64, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.slope = nnx.PReLU()
        self.token = nnx.Param(jnp.full(3, 7.0))


def test_nnx_layers() -> None:
    net = Net(nnx.Rngs(0))
    net.norm.mean.set_value(jnp.full(4, 9.0))
    before = net.layers[0].kernel.get_value()
    with pytest.warns(SelfNormWarning, match=r"as it is: token\. Name"):
        found = initialize(net, KEY, exact=True)
    assert initialize(net, KEY, skip="token").token.get_value()[0] == 7
    assert_exact(found.layers[0].kernel.get_value().T)
    assert_exact(found.conv.kernel.get_value().reshape(64, 8).T)
    assert_exact(found.attention.query.kernel.get_value().reshape(64, 64).T)
    assert_exact(found.attention.out.kernel.get_value().reshape(64, 64).T)
    assert_exact(found.cell.dense_i.kernel.get_value().T, 0.5)
    assert not found.norm.mean.get_value().any()
    assert bool((found.layers[0].kernel.get_value() != found.layers[1].kernel.get_value()).any())
    assert bool((net.layers[0].kernel.get_value() == before).all()), "the given model stays"


def test_parameters_of_linen_and_haiku() -> None:
    class Model(linen.Module):
        @linen.compact
        def __call__(self, x: Array) -> Array:
            x = linen.ConvTranspose(3, (3,), strides=2)(linen.Conv(4, (2,))(x))
            return linen.Dense(5)(x)

    params = Model().init(KEY, jnp.ones((1, 6, 32)))
    with pytest.warns(SelfNormWarning, match=r"params\.ConvTranspose_0\.kernel\. Name"):
        found = initialize(params, KEY, exact=True)["params"]
    assert_exact(found["Conv_0"]["kernel"].reshape(64, 4).T)
    haiku = {"linear": {"w": jnp.ones((64, 3)), "b": jnp.ones(3)}}
    assert_exact(initialize(haiku, KEY, exact=True)["linear"]["w"].T)


def test_numbers_depend_on_key_and_name_alone() -> None:
    small = {"a": {"kernel": jnp.ones((4, 4))}}
    large = {"z": {"kernel": jnp.ones((4, 4))}, **small}
    one, other = (initialize(tree, KEY)["a"]["kernel"] for tree in (small, large))
    assert bool((one == other).all())
    assert bool((initialize(small, jax.random.key(6))["a"]["kernel"] != one).any())
