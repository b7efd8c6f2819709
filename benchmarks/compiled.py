"""What does torch.compile make of our operations, and of torch's?"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

import selfnorm
from benchmarks._harness import Row, budget, compare, main
from benchmarks._rivals import HAS_COMPILER, compiled, torch_pair
from selfnorm.nn import MLP

P = 0.1
SMALLEST = 1 << 12


def pair(x: Tensor) -> Tensor:
    """Ours, fused."""
    return selfnorm.selu_alpha_dropout(x, P, training=True)


def measure(quick: bool) -> Iterator[Row]:
    """Forward, and forward with backward, at three sizes; then a small network."""
    if not HAS_COMPILER:
        print("torch.compile needs a C++ compiler here, and there is none.")
        return
    ours = compiled(pair)
    theirs = torch_pair if quick else compiled(torch_pair)  # a compiler takes seconds for each
    wrong = what_is_wrong(ours)
    for size in (SMALLEST,) if quick else (SMALLEST, 1 << 16, 1 << 20):
        x = torch.randn(size)
        if not quick:  # the backward pass has a forward one
            with torch.no_grad():
                yield from compare(
                    f"compiled pair forward, {size >> 10} Ki",
                    lambda x=x: ours(x),
                    {
                        "torch.compile": lambda x=x: theirs(x),
                        "ours, not compiled": lambda x=x: pair(x),
                    },
                    budget(quick),
                    {"torch.compile": (1.0, 4.0)},
                    wrong,
                )
        leaf, grad = x.clone().requires_grad_(), torch.ones(size)
        yield from compare(
            f"compiled pair forward + backward, {size >> 10} Ki",
            both_ways(ours, leaf, grad),
            {
                "torch.compile": both_ways(theirs, leaf, grad),
                "ours, not compiled": both_ways(pair, leaf, grad),
            },
            budget(quick),
            {"torch.compile": (1.0, 4.0)},
            wrong,
        )
    yield from network(quick, wrong)


def both_ways(
    function: Callable[[Tensor], Tensor], x: Tensor, grad: Tensor
) -> Callable[[], object]:
    """A call and its gradient."""
    return lambda: torch.autograd.grad(function(x), x, grad)


def network(quick: bool, wrong: str) -> list[Row]:
    """A network of eight layers, two if quick, forward and backward."""
    depth = 2 if quick else 8
    x = torch.randn(256, 64)
    torch_layers = [
        m for _ in range(depth) for m in (nn.Linear(64, 64), nn.SELU(), nn.AlphaDropout(P))
    ]
    plain = MLP(64, 10, width=64, depth=depth, dropout=P)
    backend = "aot_eager" if quick else "inductor"  # which takes seconds to compile
    models = {
        "ours": torch.compile(plain, backend=backend),
        "torch.compile": torch.compile(
            nn.Sequential(*torch_layers, nn.Linear(64, 10)), backend=backend
        ),
        "ours, not compiled": plain,
    }
    runs = {name: lambda model=model: model(x).sum().backward() for name, model in models.items()}
    return compare(
        f"compiled network 256 x 64 x {depth}, forward + backward",
        runs.pop("ours"),
        runs,
        budget(quick),
        {"torch.compile": (1.0, 2.0)},
        wrong,
    )


def what_is_wrong(compiled_pair: Callable[[Tensor], Tensor]) -> str:
    """The compiled operation equals the eager one, of the smallest size that is timed."""
    leaf = torch.randn(SMALLEST).requires_grad_()
    results = []
    for function in (pair, compiled_pair):
        torch.manual_seed(1)
        results.append(function(leaf))
    return "" if torch.equal(*results) else "compiled and eager differ"


if __name__ == "__main__":
    main("compiled", measure)
