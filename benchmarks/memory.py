"""How many bytes are kept for the backward pass, on top of the output?"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

import selfnorm
from benchmarks._harness import Row, main
from benchmarks._rivals import torch_pair

SIZE = 1 << 16


def measure(quick: bool) -> Iterator[Row]:  # noqa: ARG001 - it is quick
    """One row a function."""
    theirs = kept(torch_pair)
    for what, function in {
        "selu": selfnorm.selu,
        "selu + alpha dropout, fused": lambda x: selfnorm.selu_alpha_dropout(x, 0.1, True),
        "selu, then alpha dropout": lambda x: selfnorm.alpha_dropout(selfnorm.selu(x), 0.1, True),
    }.items():
        ours = kept(function)
        rival = kept(torch.nn.functional.selu) if what == "selu" else theirs
        name = "torch selu" if what == "selu" else "torch pair"
        yield Row(
            f"bytes kept an activation beyond the output: {what}",
            name,
            f"{ours:.4g}",
            f"{rival:.4g}",
            wrong="" if ours < 0.01 or "fused" not in what else "something is kept",
        )


def kept(function: Callable[[Tensor], Tensor]) -> float:
    """Bytes an element of what a call saves, not counting memory that its output holds anyway."""
    x = torch.randn(SIZE).requires_grad_()
    saved: dict[int, int] = {}

    def pack(t: Tensor) -> Tensor:
        saved[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    # The input belongs to the layer before; a linear layer does not need it, plain SELU does.
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        y = function(x * 1)
    saved.pop(y.untyped_storage().data_ptr(), None)
    return sum(saved.values()) / SIZE


if __name__ == "__main__":
    main("memory", measure)
