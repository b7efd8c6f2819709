"""A hundred plain layers in Flax NNX, compiled as one.

What one learns: Flax's own weights have LeCun's variance, so a hundred layers of SELU start right;
what training makes of them is another matter. `nnx.vmap` and `nnx.scan` stack the layers, so that
the network compiles in about the time of one, `lecun_orthogonal` starts them, and `keep_orthogonal`
keeps each of them so, step by step.
"""

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import selfnorm.jax as sn

DEPTH, WIDTH, STEPS, BATCH = 100, 64, 150, 128
KEY = jax.random.key(0)


class Network(nnx.Module):
    """SELU, a hundred times: layers of one shape are one layer with a leading axis."""

    def __init__(self, start: nnx.Initializer) -> None:
        @nnx.split_rngs(splits=DEPTH)
        @nnx.vmap
        def stack(rngs: nnx.Rngs) -> nnx.Linear:
            return nnx.Linear(WIDTH, WIDTH, kernel_init=start, rngs=rngs)

        self.hidden = stack(nnx.Rngs(0))
        self.head = nnx.Linear(WIDTH, 10, rngs=nnx.Rngs(1))

    def features(self, x: Array) -> Array:
        """What the last hidden layer puts out."""

        @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
        def through(x: Array, layer: nnx.Linear) -> Array:
            return sn.selu(layer(x))

        return through(x, self.hidden)

    def __call__(self, x: Array) -> Array:
        """The logits."""
        return self.head(self.features(x))


def orthogonal(kernel: Array) -> Array:
    """One layer's kernel as `keep_orthogonal` would leave it."""
    keep = sn.keep_orthogonal()
    params = {"kernel": kernel}
    nothing = {"kernel": jnp.zeros_like(kernel)}
    return kernel + keep.update(nothing, keep.init(params), params)[0]["kernel"]


def train(model: Network, x: Array, y: Array, *, keep: bool) -> None:
    """AdamW on random batches, all steps in one compiled loop."""
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(5e-4))
    graph, params = nnx.split(model)

    def loss(params: nnx.State, rows: Array) -> Array:
        logits = nnx.merge(graph, params)(x[rows])
        return optax.losses.softmax_cross_entropy_with_integer_labels(logits, y[rows]).mean()

    def step(held: tuple, key: Array) -> tuple[tuple, None]:
        params, state = held
        grads = jax.grad(loss)(params, jax.random.randint(key, (BATCH,), 0, len(x)))
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        if keep:
            kernel = params["hidden"]["kernel"]
            kernel.set_value(jax.vmap(orthogonal)(kernel.get_value()))
        return (params, state), None

    start = (params, optimizer.init(params))
    run = jax.jit(lambda start: jax.lax.scan(step, start, jax.random.split(KEY, STEPS))[0])
    nnx.update(model, run(start)[0])


def main() -> None:
    """Train twice, print, and assert what the docstring says."""
    pixels, labels = load_digits(return_X_y=True)
    split = train_test_split(pixels, labels, test_size=0.2, random_state=0, stratify=labels)
    x, held_x, y, held_y = map(jnp.asarray, split)
    mean, deviation = x.mean(0), jnp.maximum(x.std(0), 1.0)  # some pixels are always 0
    x, held_x = (x - mean) / deviation, (held_x - mean) / deviation
    print(f"Digits: {DEPTH} plain layers of SELU in Flax NNX, {STEPS} steps\n")
    print(f"{'weights':<28}{'variance, layer 100':>20}{'trained':>9}{'accuracy':>10}")
    found = {}
    starts = {"Flax's default": nnx.initializers.lecun_normal(), "orthogonal, and kept so": None}
    for name, start in starts.items():
        model = Network(start or sn.init.lecun_orthogonal())
        before = float(model.features(x).var())
        train(model, x, y, keep=start is None)
        after = float(model.features(x).var())
        found[start is None] = float((model(held_x).argmax(1) == held_y).mean())
        print(f"{name:<28}{before:>20.2g}{after:>9.2g}{found[start is None]:>10.3f}")
    assert found[True] > 0.75
    assert found[True] > found[False] + 0.1


if __name__ == "__main__":
    main()
