"""Two devices: pmap and shard_map draw for each shard what a plain call draws with its key."""

import os
import subprocess
import sys

from support.jaxed import require_jax

require_jax()

ON_TWO = """
from functools import partial
import jax
import numpy as np
import selfnorm.jax as sn
from jax.sharding import PartitionSpec as P

assert jax.device_count() == 2
key = jax.random.key(0)
x = jax.random.normal(key, (2, 300))
drop = partial(sn.selu_alpha_dropout, p=0.3)
keys = jax.random.split(key)
plain = np.stack([drop(k, row) for k, row in zip(keys, x)])
mesh = jax.make_mesh((2,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))

def shard(key, x):
    own = jax.random.fold_in(key, jax.lax.axis_index("rows"))
    return drop(own, x)

def loss(x):
    sharded = jax.shard_map(shard, mesh=mesh, in_specs=(P(), P("rows")), out_specs=P("rows"))
    return sharded(key, x)

ways = {"pmap": (jax.pmap(drop)(keys, x), plain)}
folded = np.stack([drop(jax.random.fold_in(key, i), x[i:i + 1])[0] for i in (0, 1)])
ways["shard_map"] = (jax.jit(loss)(x), folded)
gradient = jax.jit(jax.grad(lambda x: loss(x).sum()))(x)
def alone(row, i):
    return drop(jax.random.fold_in(key, i), row).sum()

ways["gradient"] = (gradient, np.concatenate([jax.grad(alone)(x[i:i + 1], i) for i in (0, 1)]))
for name, (found, expected) in ways.items():
    assert len(found.sharding.device_set) == 2, name
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6, err_msg=name)
    assert ((found == found.min()) == (expected == expected.min())).all() or name == "gradient"
print("equal")
"""


def test_every_shard_has_its_own_mask() -> None:
    environment = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "JAX_PLATFORMS": "cpu",
    }
    outcome = subprocess.run(
        [sys.executable, "-c", ON_TWO],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout == "equal\n"
