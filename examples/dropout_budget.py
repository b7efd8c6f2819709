"""How much alpha dropout a network of a given depth can take.

What one learns: alpha dropout keeps the variance of the activations, but not that of the gradients.
Each layer of SELU and alpha dropout multiplies the gradient's second moment by about
`chi / (1 + p * alpha'**2)`, with `chi = E[selu'(z)**2] = 1.0716` and `alpha' = -lambda * alpha`.
That is 1 at p = 0.0232. So depth and p have a budget: the deeper the network, the nearer to it.
"""

import math

import torch

import selfnorm
from selfnorm.theory import selu_constants

DEPTH, WIDTH, ROWS = 30, 256, 512
DROPPED = -math.prod(selu_constants())
CHI = 1.0715749925


def gradient_ratio(p: float) -> float:
    """Root mean square of the gradient behind the first layer over that behind the last."""
    torch.manual_seed(0)
    model = selfnorm.nn.MLP(WIDTH, 1, width=WIDTH, depth=DEPTH, dropout=p)
    hidden = model.linear1(torch.randn(ROWS, WIDTH)).detach().requires_grad_()
    last = torch.nn.Sequential(*list(model)[1:-1])(hidden * 1.0)  # a leaf must not be written to
    last.backward(torch.randn_like(last))
    return float(hidden.grad.square().mean().sqrt())


def main() -> None:
    """Measure a few rates beside the formula, and assert that they agree."""
    print(f"The gradient behind layer 1 over that behind layer {DEPTH} (root mean square)\n")
    print("     p   measured   formula")
    ratios = {}
    for p in (0.0, 0.0232, 0.05, 0.1, 0.2):
        measured = gradient_ratio(p)
        formula = (CHI / (1 + p * DROPPED**2)) ** (DEPTH / 2)
        print(f"{p:6.4f}   {measured:8.4f}  {formula:8.4f}")
        assert 0.8 < measured / formula < 1.25
        ratios[p] = measured
    assert 0.8 < ratios[0.0232] < 1.25
    print(
        f"\nAt p = 0.0232 the gradient keeps its size through {DEPTH} layers; at p = 0.2 only\n"
        f"1/{1 / ratios[0.2]:.0f} of it comes through. The deeper, the nearer to 0.0232."
    )


if __name__ == "__main__":
    main()
