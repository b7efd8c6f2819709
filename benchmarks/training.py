"""How long does a training step take, beside the usual layers and beside ReLU without dropout?"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks._harness import Row, budget, compare, main
from benchmarks._rivals import HAS_COMPILER, HAS_JAX, jax_alpha_dropout
from selfnorm.init import initialize_
from selfnorm.nn import MLP, MemberLinear
from selfnorm.optim import AdamW

P, CLASSES, RATE = 0.1, 10, 1e-3
PAIR, RELU = "torch SELU + AlphaDropout", "torch ReLU, no dropout"
COMPILED, COMPILED_RELU = "torch.compile of the pair", "torch.compile of ReLU"
# Rows, width, depth: what is aimed at beside the pair, and beside ReLU.
SHAPES = {
    (256, 64, 8): ((2.4, 3.0), (1.2, 1.5)),
    (64, 128, 8): ((2.0, 2.5), (1.2, 1.5)),
    (256, 256, 8): ((1.7, 2.0), (1.0, 1.15)),
    (512, 512, 16): ((1.4, 1.5), (0.98, 1.05)),
}
QUICK = {(32, 16, 2): ((1.5, 2.0), (1.0, 1.5))}
FASTER = (1.0, 1.3)
# Members, rows, width, depth: what is aimed at beside ReLU networks one after another.
MEMBERS = {(16, 64, 128, 4): (2.6, 4.0), (16, 32, 64, 8): (4.5, 8.0)}
TORCHS = "the same with torch's AdamW"
ONE_BY_ONE, BATCHED = (
    "torch ReLU networks one after another",
    "batched, torch's SELU + AlphaDropout",
)


def measure(quick: bool) -> Iterator[Row]:
    """Rows for each shape, with all threads and with one."""
    wrong = what_is_wrong()
    all_threads = torch.get_num_threads()
    for threads in (all_threads,) if quick else (all_threads, 1):
        torch.set_num_threads(threads)
        for (batch, width, depth), (pair, relu) in (QUICK if quick else SHAPES).items():
            what = f"training step, batch {batch} x width {width} x depth {depth}"
            what += ", one thread" if threads == 1 else ""
            goals = {PAIR: pair, RELU: relu, COMPILED: FASTER, COMPILED_RELU: FASTER}
            yield from steps(what, (batch, width, depth), goals, wrong, quick=quick)
        for (members, batch, width, depth), aims in ({} if quick else MEMBERS).items():
            what = f"training step of {members} members, {batch} x width {width} x depth {depth}"
            what += ", one thread" if threads == 1 else ""
            yield from together(what, (members, batch, width, depth), aims, wrong)
    torch.set_num_threads(all_threads)


def steps(
    what: str,
    shape: tuple[int, int, int],
    goals: dict[str, tuple[float, float]],
    wrong: str,
    *,
    quick: bool,
) -> Iterator[Row]:
    """Rows for one shape; JAX by itself, as its threads and torch's would share the cores."""
    batch, width, depth = shape
    model, other = (MLP(width, CLASSES, width=width, depth=depth, dropout=P) for _ in range(2))
    ours = step_of(model, batch, width, optimizer=AdamW)
    rivals = {
        PAIR: step_of(stack(width, depth, torch_layers), batch, width),
        RELU: step_of(stack(width, depth, relu_layers), batch, width),
        TORCHS: step_of(other, batch, width),
    }
    if HAS_COMPILER and not quick:
        torch.compiler.reset()  # else it gives up after eight networks
        for name, layers in ((COMPILED, torch_layers), (COMPILED_RELU, relu_layers)):
            rivals[name] = step_of(torch.compile(stack(width, depth, layers)), batch, width)
    yield from compare(what, ours, rivals, budget(quick), goals, wrong)
    if HAS_JAX and torch.get_num_threads() > 1:  # JAX has no word for one thread
        rival = {"jax.jit": jax_step(batch, width, depth)}
        yield from compare(what, ours, rival, budget(quick), {"jax.jit": FASTER}, wrong)


def together(
    what: str, shape: tuple[int, int, int, int], aims: tuple[float, float], wrong: str
) -> Iterator[Row]:
    """Rows for members that are trained as one."""
    members, batch, width, depth = shape
    ours = MLP(width, CLASSES, width=width, depth=depth, dropout=P, members=members)
    hidden = [
        layer
        for _ in range(depth)
        for layer in (MemberLinear(members, width, width), nn.SELU(), nn.AlphaDropout(P))
    ]
    batched = nn.Sequential(*hidden, MemberLinear(members, width, CLASSES))
    alone = [step_of(stack(width, depth, relu_layers), batch, width) for _ in range(members)]

    def one_by_one() -> object:
        return [step() for step in alone]

    rivals = {ONE_BY_ONE: one_by_one, BATCHED: step_of(batched, batch, width)}
    goals = {ONE_BY_ONE: aims, BATCHED: (1.5, 2.5)}
    run = step_of(ours, batch, width, optimizer=AdamW)
    yield from compare(what, run, rivals, budget(quick=False), goals, wrong)


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
    model: nn.Module,
    batch: int,
    width: int,
    *,
    capturable: bool = False,
    optimizer: type[torch.optim.AdamW] = torch.optim.AdamW,
) -> Callable[[], object]:
    """One step of AdamW where the model lies; on a CPU by torch's fused kernel."""
    like = next(model.parameters())
    adamw = optimizer(
        model.parameters(), lr=RATE, capturable=capturable, fused=True if like.is_cpu else None
    )
    x = torch.randn(batch, width, device=like.device, dtype=like.dtype)
    y = torch.randint(CLASSES, (batch,), device=like.device)

    def step() -> object:
        adamw.zero_grad()
        outputs = model(x)
        targets = y.expand(outputs.shape[:-1]).flatten()
        loss = F.cross_entropy(outputs.flatten(0, -2), targets) * (len(targets) // batch)
        loss.backward()
        adamw.step()
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
