"""SELU and alpha dropout in JAX: accuracy, masks, moments, and every transformation."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

import selfnorm.ops  # noqa: F401 - registers what masks are held against
from selfnorm.errors import ArgumentError, UnsupportedError
from selfnorm.theory import alpha_dropout_affine, selu_constants
from support.compare import assert_close, assert_same, assert_within_ulps
from support.jaxed import require_jax, to_torch
from support.samples import special, sweep
from support.statistics import assert_moments, kurtosis_of
from support.tolerances import HALF_ULPS, KERNEL_ULPS, SAME_UP_TO_ROUNDING

require_jax()

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import PartitionSpec

from selfnorm.jax import alpha_dropout, selu, selu_alpha_dropout

ALPHA, LAMBDA = selu_constants()
KEY = jax.random.key(3)
HALF = {"float16": torch.float16, "bfloat16": torch.bfloat16}
Dropout = Callable[..., Array]
BOTH = pytest.mark.parametrize("function", [alpha_dropout, selu_alpha_dropout])


def oracle(x: torch.Tensor) -> torch.Tensor:
    x = x.double()
    return torch.where(x > 0, LAMBDA * x, LAMBDA * ALPHA * torch.expm1(x))


def normal_numbers(x: torch.Tensor) -> torch.Tensor:
    """Without those that are subnormal, which XLA takes for 0, or of which SELU overflows."""
    info = torch.finfo(x.dtype)
    small = (x.abs() < 2 * info.tiny) & (x != 0)
    return x[~small & ~(x.isfinite() & (x > info.max / 1.06))]


def float32_sample() -> torch.Tensor:
    """Every 9973rd of all bit patterns, and where roundings add up most."""
    bits = torch.arange(-(1 << 31), 1 << 31, 9973, dtype=torch.int64).to(torch.int32)
    worst = torch.linspace(-0.6, -0.4, 100_000)
    return normal_numbers(torch.cat((bits.view(torch.float32), worst, special(torch.float32))))


def test_float32_is_within_a_unit() -> None:
    x = float32_sample()
    assert_within_ulps(to_torch(selu(x.numpy())), oracle(x), KERNEL_ULPS[torch.float32])


def test_float64_is_within_two_units() -> None:
    x = normal_numbers(sweep(torch.float64))
    wide = x.numpy().astype(np.longdouble)
    alpha, scale = (np.longdouble(str(c)) for c in selu_constants(digits=25))
    exact = np.where(wide > 0, scale * wide, scale * alpha * np.expm1(wide))
    with jax.enable_x64():
        y = np.asarray(selu(x.numpy()))
    assert y.dtype == np.float64
    unit = np.spacing(np.abs(exact.astype(np.float64)))
    finite = np.isfinite(y) & (exact != 0)
    errors = (np.abs(y - exact)[finite] / unit[finite]).astype(np.float64)
    assert errors.max() <= KERNEL_ULPS[torch.float64]
    assert (y[exact == 0] == 0).all()


@pytest.mark.parametrize("name", list(HALF))
def test_half_precision_is_rounded_once(name: str) -> None:
    bits = torch.arange(-(1 << 15), 1 << 15).to(torch.int16)
    x = bits.view(HALF[name])
    x = x[x.isfinite() & (oracle(x) < torch.finfo(x.dtype).max) & (x.float().abs() > 2e-38)]
    y = selu(jnp.asarray(x.float().numpy()).astype(name))
    assert y.dtype == name
    assert_within_ulps(to_torch(y), oracle(x), HALF_ULPS)


def test_special_values_stay() -> None:
    x = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0], np.float32)
    bottom = np.float32(-ALPHA * LAMBDA)
    expected = np.array([np.nan, np.inf, bottom, -0.0, 0.0], np.float32)
    assert_same(to_torch(selu(x)), to_torch(expected))
    assert selu(jnp.zeros((0, 3))).shape == (0, 3)
    assert selu(2).dtype == jnp.float32
    z = selu_alpha_dropout(KEY, jnp.full(512, jnp.nan))
    assert bool(jnp.isnan(z).all())


def test_complex_numbers_go_by_their_parts() -> None:
    z = jnp.asarray([1 - 2j, -0.5 + 3j])
    assert_same(to_torch(selu(z).real), to_torch(selu(z.real)))
    assert_same(to_torch(selu(z).imag), to_torch(selu(z.imag)))
    with pytest.raises(UnsupportedError, match=r"got complex64\. Call it for x\.real"):
        alpha_dropout(KEY, z)
    with pytest.raises(UnsupportedError, match="got float8_e5m2"):
        selu(jnp.zeros(3, jnp.float8_e5m2))


@pytest.mark.parametrize("p", [0.05, 0.5, 0.999])
@BOTH
def test_mean_and_variance_are_kept(function: Dropout, p: float) -> None:
    x = jax.random.normal(KEY, (400, 1000))
    z = function(jax.random.key(8), x, p)
    assert_moments(z, kurtosis=kurtosis_of(z))


@pytest.mark.parametrize("seed", [0, 7, 2**32 + 5, 2**63 - 2])
@pytest.mark.parametrize("shape", [(3,), (512,), (7, 301)])
def test_masks_are_those_of_torch(seed: int, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    expected = torch.ops.selfnorm.selu_alpha_dropout(x, torch.tensor(seed), 0.3)
    z = to_torch(selu_alpha_dropout(None, x.numpy(), 0.3, seed=seed))
    floor = expected.min()
    assert torch.equal(z == z.min(), expected == floor)
    assert_close(z, expected, SAME_UP_TO_ROUNDING[torch.float32])
    expected = torch.ops.selfnorm.alpha_dropout(x, torch.tensor(seed), 0.3, 0, False)
    z = to_torch(alpha_dropout(None, x.numpy(), 0.3, seed=seed))
    assert_close(z, expected, SAME_UP_TO_ROUNDING[torch.float32])


def test_a_seed_may_be_traced() -> None:
    x = jnp.ones((4, 100))
    expected = alpha_dropout(None, x, seed=5)
    for dtype in (jnp.int32, jnp.uint32, jnp.uint8):
        found = jax.jit(lambda s: alpha_dropout(None, x, seed=s))(dtype(5))
        assert_same(to_torch(found), to_torch(expected))
    with jax.enable_x64():
        wide = alpha_dropout(None, x, seed=jnp.int64(2**40 + 5))
        assert_same(to_torch(wide), to_torch(alpha_dropout(None, x, seed=2**40 + 5)))
    seeds = jnp.arange(3)
    rows = jax.vmap(lambda s: alpha_dropout(None, x, seed=s))(seeds)
    assert len({row.tobytes() for row in np.asarray(rows)}) == 3


def test_transformations_agree() -> None:
    """vmap, scan, map, shard_map and checkpoint, all under jit, give what plain calls give."""
    x = jax.random.normal(KEY, (3, 700))
    keys = jax.random.split(KEY, 3)
    drop = partial(selu_alpha_dropout, p=0.3)
    plain = to_torch(jnp.stack([drop(k, row) for k, row in zip(keys, x, strict=True)]))
    mesh = jax.make_mesh((1,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = PartitionSpec("rows")
    ways: dict[str, Callable[[Array, Array], Array]] = {
        "vmap": jax.vmap(drop),
        "scan": lambda k, v: jax.lax.scan(lambda c, kv: (c, drop(*kv)), 0, (k, v))[1],
        "shard_map": jax.shard_map(
            jax.vmap(drop), mesh=mesh, in_specs=(spec, spec), out_specs=spec
        ),
        "checkpoint": jax.checkpoint(jax.vmap(drop)),
    }
    found = jax.jit(lambda k, v: {name: way(k, v) for name, way in ways.items()})(keys, x)
    for name, way in found.items():
        z = to_torch(way)
        assert torch.equal(z == z.min(), plain == plain.min()), name
        assert_close(z, plain, SAME_UP_TO_ROUNDING[torch.float32])


def differentiable() -> dict[str, Callable[[Any], Array]]:
    return {
        "selu": selu,
        "alpha_dropout": lambda x: alpha_dropout(None, x, 0.3, seed=1),
        "selu_alpha_dropout": lambda x: selu_alpha_dropout(None, x, 0.3, seed=1),
    }


@pytest.mark.parametrize("name", list(differentiable()))
def test_derivatives_of_every_mode_and_order(name: str) -> None:
    """By a plain formula in float64 with the same mask."""
    function = differentiable()[name]
    with jax.enable_x64():
        x = jax.random.normal(KEY, (40,), jnp.float64)
        kept = np.asarray(alpha_dropout(None, jnp.zeros(40), 0.3, seed=1)) > 0
        scale, shift = alpha_dropout_affine(round(0.3 * 65536) / 65536)

        def plain(x: Array) -> Array:
            u = x if name == "alpha_dropout" else jax.nn.selu(x)
            if name == "selu":
                return u
            return scale * jnp.where(kept, u, -ALPHA * LAMBDA) + shift

        ours, theirs = (jax.jit(partial(all_derivatives, way))(x) for way in (function, plain))
        assert len(ours) == 7
        for mine, other in zip(ours, theirs, strict=True):
            assert_close(to_torch(mine), to_torch(other), SAME_UP_TO_ROUNDING[torch.float64])


def all_derivatives(function: Callable[[Array], Array], x: Array) -> list[Array]:
    """Value, both modes, and each mode of each: a second derivative along one direction."""
    along = jnp.linspace(-1.0, 1.0, len(x))

    def forward(x: Array) -> Array:
        return jax.jvp(function, (x,), (along,))[1]

    def reverse(x: Array) -> Array:
        return jax.vjp(function, x)[1](along)[0]

    seconds = [jax.jvp(one, (x,), (along,))[1] for one in (forward, reverse)]
    seconds += [jax.vjp(one, x)[1](along)[0] for one in (forward, reverse)]
    return [function(x), forward(x), reverse(x), *seconds]


def test_only_the_output_is_kept() -> None:
    x = jax.random.normal(KEY, (300,))
    for function in (selu, differentiable()["selu_alpha_dropout"]):
        z, backward = jax.vjp(function, x)
        held = [leaf for leaf in jax.tree.leaves(backward) if getattr(leaf, "ndim", 0)]
        assert len(held) == 1
        assert_same(to_torch(held[0]), to_torch(z))
    _, backward = jax.vjp(differentiable()["alpha_dropout"], x)
    assert all(leaf.size < 300 for leaf in jax.tree.leaves(backward))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_saturated_and_dropped_units_have_gradient_zero(dtype: str) -> None:
    x = jnp.concatenate((jax.random.normal(KEY, (1000,)), jnp.full(1000, -1e3))).astype(dtype)

    @jax.jit
    def run(x: Array) -> tuple[Array, Array, Array]:
        z, backward = jax.vjp(lambda x: selu_alpha_dropout(KEY, x, 0.3), x)
        _, of_selu = jax.vjp(selu, x)
        return z, backward(jnp.ones_like(z))[0], of_selu(jnp.ones_like(z))[0]

    z, gradient, of_selu = map(np.asarray, run(x))
    assert gradient.dtype == dtype
    assert (gradient[z == z.min()] == 0).all()
    assert (z[1000:] == z.min()).all()
    assert (of_selu[1000:] == 0).all()


@BOTH
def test_corners_of_p(function: Dropout) -> None:
    x = jax.random.normal(KEY, (100,))
    whole = x if function is alpha_dropout else selu(x)
    assert_same(to_torch(function(KEY, x, 0)), to_torch(whole))
    assert not function(KEY, x, 1.0).any()
    with pytest.raises(ArgumentError, match=r"1\.5"):
        function(KEY, x, 1.5)
    with pytest.raises(ArgumentError, match="known while JAX traces"):
        jax.jit(lambda p: function(KEY, x, p))(0.5)


@BOTH
def test_a_key_or_a_seed(function: Dropout) -> None:
    x = jnp.ones(5)
    with pytest.raises(ArgumentError, match="got both"):
        function(KEY, x, seed=1)
    with pytest.raises(ArgumentError, match="got neither"):
        function(None, x)
    with pytest.raises(ArgumentError, match=r"from 0 to 2\*\*63 - 2; got -1"):
        function(None, x, seed=-1)
    with pytest.raises(UnsupportedError, match=r"got float32 of shape \(5,\)"):
        function(x, x)
    with pytest.raises(UnsupportedError, match=r"use jax\.vmap"):
        function(jax.random.split(KEY), x)
    with pytest.raises(UnsupportedError, match="one whole number"):
        function(None, x, seed=0.5)
    old = function(jax.random.PRNGKey(3), x)
    assert_same(to_torch(old), to_torch(function(KEY, x)))
