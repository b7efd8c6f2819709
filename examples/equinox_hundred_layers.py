"""A hundred plain layers in Equinox, compiled as one.

What one learns: stack the layers and `scan` over them, and a network of any depth compiles in about
the time of one layer. Equinox's own weights have a third of the variance that SELU asks for;
`selfnorm.jax.init.initialize` mends the stack as it would mend a layer, and `keep_orthogonal`, the
last of an optax chain, keeps it right while it trains.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax import Array
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import selfnorm.jax as sn

DEPTH, WIDTH, STEPS, BATCH = 100, 64, 150, 128
KEY = jax.random.key(0)


class Network(eqx.Module):
    """SELU, a hundred times: layers of one shape are one layer with a leading axis."""

    hidden: eqx.nn.Linear
    head: eqx.nn.Linear

    def __init__(self, *, lecun: bool) -> None:
        def layer(key: Array) -> eqx.nn.Linear:
            made = eqx.nn.Linear(WIDTH, WIDTH, key=key)
            return sn.init.initialize(made, key, distribution="orthogonal") if lecun else made

        self.hidden = eqx.filter_vmap(layer)(jax.random.split(KEY, DEPTH))
        self.head = eqx.nn.Linear(WIDTH, 10, key=KEY)

    def features(self, x: Array) -> Array:
        """What the last hidden layer puts out, for one row."""
        weights, fixed = eqx.partition(self.hidden, eqx.is_array)

        def step(x: Array, part: eqx.nn.Linear) -> tuple[Array, None]:
            return sn.selu(eqx.combine(part, fixed)(x)), None

        return jax.lax.scan(step, x, weights)[0]

    def __call__(self, x: Array) -> Array:
        """The logits of one row."""
        return self.head(self.features(x))


def loss(model: Network, x: Array, y: Array) -> Array:
    """Cross-entropy."""
    return optax.losses.softmax_cross_entropy_with_integer_labels(jax.vmap(model)(x), y).mean()


def orthogonal(stack: Array) -> Array:
    """Each layer's weights: `keep_orthogonal` sees a matrix where vmap hides the layers."""
    keep = sn.keep_orthogonal()
    return keep.update(jnp.zeros_like(stack), keep.init(stack), stack)[0] + stack


def train(model: Network, x: Array, y: Array, *, keep: bool) -> Network:
    """AdamW on random batches, all steps in one compiled loop."""
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(5e-4))
    weights, fixed = eqx.partition(model, eqx.is_array)

    def step(held: tuple, key: Array) -> tuple[tuple, None]:
        weights, state = held
        rows = jax.random.randint(key, (BATCH,), 0, len(x))
        grads = jax.grad(lambda w: loss(eqx.combine(w, fixed), x[rows], y[rows]))(weights)
        updates, state = optimizer.update(grads, state, weights)
        weights = optax.apply_updates(weights, updates)
        if keep:
            kept = jax.vmap(orthogonal)(weights.hidden.weight)
            weights = eqx.tree_at(lambda w: w.hidden.weight, weights, kept)
        return (weights, state), None

    start = (weights, optimizer.init(weights))
    run = jax.jit(lambda start: jax.lax.scan(step, start, jax.random.split(KEY, STEPS))[0])
    return eqx.combine(run(start)[0], fixed)


def main() -> None:
    """Train twice, print, and assert what the docstring says."""
    pixels, labels = load_digits(return_X_y=True)
    split = train_test_split(pixels, labels, test_size=0.2, random_state=0, stratify=labels)
    x, held_x, y, held_y = map(jnp.asarray, split)
    mean, deviation = x.mean(0), jnp.maximum(x.std(0), 1.0)  # some pixels are always 0
    x, held_x = (x - mean) / deviation, (held_x - mean) / deviation
    print(f"Digits: {DEPTH} plain layers of SELU in Equinox, {STEPS} steps\n")
    print(f"{'weights':<28}{'variance, layer 100':>20}{'accuracy':>10}")
    found = {}
    for name in ("Equinox's default", "initialize, keep_orthogonal"):
        right = name != "Equinox's default"
        model = Network(lecun=right)
        variance = float(jax.vmap(model.features)(x).var())
        model = train(model, x, y, keep=right)
        found[right] = float((jax.vmap(model)(held_x).argmax(1) == held_y).mean())
        print(f"{name:<28}{variance:>20.2g}{found[right]:>10.3f}")
    assert found[True] > 0.75
    assert found[True] > found[False] + 0.3


if __name__ == "__main__":
    main()
