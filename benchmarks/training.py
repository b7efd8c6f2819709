"""How long does a training step take, beside the usual layers and beside ReLU without dropout?"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks._harness import Row, budget, compare, main
from benchmarks._rivals import HAS_COMPILER, HAS_JAX, jax_alpha_dropout
from selfnorm.init import initialize_
from selfnorm.nn import MLP

P, CLASSES, RATE = 0.1, 10, 1e-3
SHAPES = {(256, 64, 8): (1.5, 2.0), (256, 256, 8): (2.0, 2.5), (512, 512, 16): (1.35, 1.5)}
QUICK = {(32, 16, 2): (1.5, 2.0)}


def measure(quick: bool) -> Iterator[Row]:
    """Rows for each shape; JAX by itself, as its threads and torch's would share the cores."""
    wrong = what_is_wrong()
    for (batch, width, depth), aims in (QUICK if quick else SHAPES).items():
        what = f"training step, batch {batch} x width {width} x depth {depth}"
        ours = step_of(MLP(width, CLASSES, width=width, depth=depth, dropout=P), batch, width)
        rivals = {
            "torch SELU + AlphaDropout": step_of(stack(width, depth, torch_layers), batch, width),
            "torch ReLU, no dropout": step_of(stack(width, depth, relu_layers), batch, width),
        }
        if HAS_COMPILER and not quick:
            model = torch.compile(stack(width, depth, torch_layers))
            rivals["torch.compile of the pair"] = step_of(model, batch, width)
        goals = {"torch SELU + AlphaDropout": aims, "torch ReLU, no dropout": (1 / 1.1, 1.0)}
        yield from compare(what, ours, rivals, budget(quick), goals, wrong)
        if HAS_JAX:
            rival = {"jax.jit": jax_step(batch, width, depth)}
            yield from compare(what, ours, rival, budget(quick), {"jax.jit": (1.0, 1.3)}, wrong)


def torch_layers(width: int) -> list[nn.Module]:
    """What torch offers."""
    return [nn.Linear(width, width), nn.SELU(), nn.AlphaDropout(P)]


def relu_layers(width: int) -> list[nn.Module]:
    """What people take instead."""
    return [nn.Linear(width, width), nn.ReLU()]


def stack(width: int, depth: int, layers: Callable[[int], list[nn.Module]]) -> nn.Module:
    """`depth` times those layers, and an output layer."""
    hidden = [layer for _ in range(depth) for layer in layers(width)]
    model = nn.Sequential(*hidden, nn.Linear(width, CLASSES))
    initialize_(model)
    return model


def step_of(
    model: nn.Module, batch: int, width: int, *, capturable: bool = False
) -> Callable[[], object]:
    """One step of AdamW with torch's default settings, the same for all, where the model lies."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, capturable=capturable)
    like = next(model.parameters())
    x = torch.randn(batch, width, device=like.device, dtype=like.dtype)
    y = torch.randint(CLASSES, (batch,), device=like.device)

    def step() -> object:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def jax_step(batch: int, width: int, depth: int) -> Callable[[], object]:
    """The same network and optimizer in JAX, the whole step compiled as one."""
    import jax
    from jax import numpy as jnp

    keys = jax.random.split(jax.random.key(0), depth + 2)
    sizes = [width] * (depth + 1) + [CLASSES]
    weights = [
        (jax.random.normal(key, (m, n)) / m**0.5, jnp.zeros(n))
        for key, m, n in zip(keys, sizes[:-1], sizes[1:], strict=False)
    ]
    x = jax.random.normal(keys[-1], (batch, width))
    y = jax.random.randint(keys[-1], (batch,), 0, CLASSES)

    def loss_of(weights: Any, key: Any) -> Any:
        z = x
        for (w, b), own in zip(weights[:-1], jax.random.split(key, depth), strict=True):
            z = jax_alpha_dropout(jax.nn.selu(z @ w + b), own, P)
        w, b = weights[-1]
        return -jnp.mean(jax.nn.log_softmax(z @ w + b)[jnp.arange(batch), y])

    @jax.jit
    def step(weights: Any, first: Any, second: Any, count: Any, key: Any) -> Any:
        key, own = jax.random.split(key)
        loss, grads = jax.value_and_grad(loss_of)(weights, own)
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, grads)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, grads)
        count = count + 1

        def update(w: Any, m: Any, v: Any) -> Any:
            change = (m / (1 - 0.9**count)) / (jnp.sqrt(v / (1 - 0.999**count)) + 1e-8)
            return w * (1 - RATE * 1e-2) - RATE * change

        return jax.tree.map(update, weights, first, second), first, second, count, key, loss

    zeros = jax.tree.map(jnp.zeros_like, weights)
    state = [weights, zeros, zeros, jnp.asarray(0), jax.random.key(1)]

    def run() -> object:
        *new, loss = step(*state)
        state[:] = new
        return loss.block_until_ready()

    return run


def what_is_wrong() -> str:
    """Without dropout both networks have the same loss and gradients; with it, ours learns."""
    ours = MLP(32, CLASSES, width=32, depth=8)
    theirs = nn.Sequential(
        *(layer for _ in range(8) for layer in (nn.Linear(32, 32), nn.SELU())),
        nn.Linear(32, CLASSES),
    )
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        other.data.copy_(mine.data)
    x, y = torch.randn(64, 32), torch.randint(CLASSES, (64,))
    for model in (ours, theirs):
        F.cross_entropy(model(x), y).backward()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        if (mine.grad - other.grad).abs().max() > 1e-4 * other.grad.abs().max() + 1e-6:
            return "gradients differ from torch's"
    step = step_of(MLP(32, CLASSES, width=64, depth=8, dropout=P), 64, 32)
    losses = [step().item() for _ in range(200)]
    return (
        "" if losses[-1] < 0.7 * losses[0] else f"the loss falls from {losses[0]} to {losses[-1]}"
    )


if __name__ == "__main__":
    main("training", measure)
