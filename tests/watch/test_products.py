"""Weights of products are weighed as those of `nn.Linear`."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import selfnorm
from selfnorm.recording import Layer

K, IN, OUT = 4, 48, 32
Use = Callable[[Tensor, Tensor], Tensor]


class Net(nn.Module):
    """One product with a parameter."""

    def __init__(self, shape: tuple[int, ...], use: Use) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weight, self.use = nn.Parameter(torch.randn(shape)), use

    def forward(self, x: Tensor) -> Tensor:
        return torch.selu(self.use(x, self.weight))


def layer_of(shape: tuple[int, ...], use: Use, *, given: tuple[int, ...]) -> tuple[Net, Layer]:
    net = Net(shape, use)
    torch.manual_seed(1)
    return net, selfnorm.audit(net, torch.randn(given)).layers[0]


MATRICES: list[tuple[str, tuple[int, ...], Use, tuple[int, ...], str]] = [
    ("matmul", (IN, OUT), lambda x, w: x @ w, (64, IN), "io->oi"),
    ("transposed", (OUT, IN), lambda x, w: x @ w.t(), (64, IN), "oi->oi"),
    ("from the left", (OUT, IN), lambda x, w: (w @ x.mT).mT, (64, IN), "oi->oi"),
    ("batched", (K, IN, OUT), lambda x, w: x @ w, (K, 64, IN), "kio->koi"),
    ("bmm", (K, IN, OUT), torch.bmm, (K, 64, IN), "kio->koi"),
    ("baddbmm", (K, IN, OUT), lambda x, w: torch.baddbmm(x.new_zeros(1), x, w), (K, 64, IN),
     "kio->koi"),
    ("einsum", (K, IN, OUT), lambda x, w: torch.einsum("bki,kio->bko", x, w), (64, K, IN),
     "kio->koi"),
    ("einsum, dots", (OUT, IN), lambda x, w: torch.einsum("oi,...i->...o", w, x), (64, 3, IN),
     "oi->oi"),
    ("einsum, implicit", (IN, OUT), lambda x, w: torch.einsum("bi,io", x, w), (64, IN), "io->oi"),
    ("heads", (IN, K, OUT), lambda x, w: torch.einsum("bi,iho->bho", x, w).flatten(1), (64, IN),
     "iho->hoi"),
    ("masked", (OUT, IN), lambda x, w: nn.functional.linear(x, w * torch.ones_like(w).tril()),
     (64, IN), "tril"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "use", "given", "order"), [m[1:] for m in MATRICES], ids=[m[0] for m in MATRICES]
)
def test_weights_of_a_product(
    shape: tuple[int, ...], use: Use, given: tuple[int, ...], order: str
) -> None:
    net, layer = layer_of(shape, use, given=given)
    weight = net.weight.detach().double()
    rows = weight.tril() if order == "tril" else torch.einsum(order, weight)
    rows = rows.reshape(-1, IN)
    (weights,) = layer.weights
    assert (layer.role, weights.name, weights.fan_in) == ("linear", "weight", IN)
    assert weights.tau == pytest.approx(rows.square().sum(1).numpy())
    assert weights.omega == pytest.approx(rows.sum(1).numpy(), abs=1e-4)
    assert layer.data_gain == pytest.approx(weights.tau.mean(), rel=0.3)
    assert layer.predicted is not None


@pytest.mark.parametrize(
    "use",
    [
        lambda x, w: (torch.eye(64) @ x) * w,
        lambda x, w: torch.einsum("bi,i->bi", x, w),
        lambda x, w: torch.einsum("bi,bj->bij", x, x).flatten(1) * w.sum(),
    ],
    ids=["a matrix that is no parameter", "a scale", "two activations"],
)
def test_what_is_no_layer_has_no_weights(use: Use) -> None:
    _, layer = layer_of((IN,), use, given=(64, IN))
    assert not layer.weights
    assert layer.role != "linear"
