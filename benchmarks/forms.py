"""How fast is SELU in another form, beside the same few operations of torch?"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

import selfnorm
from benchmarks._harness import Budget, Row, budget, compare, main
from benchmarks._rivals import compiled
from selfnorm.theory import alpha_dropout_affine, selu_constants, shaped_selu

KI, MI = 1 << 10, 1 << 20
P = 0.125  # a multiple of 2**-16
FORM, SHIFTED = shaped_selu(100), selu_constants(gradient_gain=1)
ALPHA, LAMBDA = selu_constants()


def ours(x: Tensor) -> Tensor:
    """One pass; it keeps its input."""
    return selfnorm.selu(x, form=FORM)


def theirs(x: Tensor) -> Tensor:
    """The same in torch's operations."""
    return FORM.linear * x + FORM.factor * F.selu(x)


def our_pair(x: Tensor) -> Tensor:
    """With alpha dropout; it keeps input and seed."""
    return selfnorm.selu_alpha_dropout(x, P, training=True, form=FORM)


def their_pair(x: Tensor) -> Tensor:
    """The same with torch's."""
    return F.alpha_dropout(theirs(x), P, training=True)


def measure(quick: bool) -> Iterator[Row]:
    """All rows."""
    within, wrong = budget(quick), what_is_wrong()
    by_compiler = None if quick else compiled(theirs)
    for size in (64 * KI,) if quick else (MI, 256):
        x = torch.randn(size)
        named = f"{size // KI} Ki" if size >= KI else f"{size}"
        with torch.no_grad():
            rivals: dict[str, Callable[[], object] | None] = {
                "torch": lambda x=x: theirs(x),
                "torch.compile": by_compiler and (lambda x=x: by_compiler(x)),
                "plain SELU of ours": lambda x=x: selfnorm.selu(x),
            }
            what = f"shaped SELU forward, {named} float32"
            yield from compare(what, lambda x=x: ours(x), rivals, within, wrong=wrong)
            pairs = {
                "torch": lambda x=x: their_pair(x),
                "plain SELU of ours": lambda x=x: selfnorm.selu_alpha_dropout(x, P, True),
            }
            what = f"shaped SELU + alpha dropout forward, {named} float32"
            yield from compare(what, lambda x=x: our_pair(x), pairs, within, wrong=wrong)
        yield from both_ways(x, named, by_compiler, within, wrong)


def both_ways(
    x: Tensor,
    named: str,
    by_compiler: Callable[[Tensor], Tensor] | None,
    within: Budget,
    wrong: str,
) -> Iterator[Row]:
    """Forward and backward, through autograd."""
    leaf, grad = x.clone().requires_grad_(), torch.randn_like(x)

    def run(function: Callable[[Tensor], Tensor]) -> Callable[[], object]:
        return lambda: torch.autograd.grad(function(leaf), leaf, grad)

    rivals = {
        "torch": run(theirs),
        "torch.compile": by_compiler and run(by_compiler),
        "plain SELU of ours": run(selfnorm.selu),
    }
    what = f"shaped SELU forward + backward, {named} float32"
    yield from compare(what, run(ours), rivals, within, wrong=wrong)
    what = f"shaped SELU + alpha dropout, both ways, {named} float32"
    yield from compare(what, run(our_pair), {"torch": run(their_pair)}, within, wrong=wrong)


def what_is_wrong() -> str:
    """Both forms, their slopes and their dropout, in every dtype, against float64."""
    x = torch.randn(MI // 4, dtype=torch.float64)
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        allowed = 8 * torch.finfo(dtype).eps * 4  # values reach 5
        for form in (FORM, SHIFTED):
            for p in (0.0, P):
                leaf = x.to(dtype).requires_grad_()
                v = leaf.detach().double()
                u = torch.where(v > 0, LAMBDA * v, LAMBDA * ALPHA * torch.expm1(v))
                slope = torch.where(v > 0, LAMBDA, LAMBDA * ALPHA * torch.exp(v))
                scale, shift = alpha_dropout_affine(
                    p, form.shift, form.variance, dropped=form.dropped
                )
                z = selfnorm.selu_alpha_dropout(leaf, p, True, form=form)
                (gradient,) = torch.autograd.grad(z.sum(), leaf)
                dropped = gradient == 0
                exact = scale * (form.linear * v + form.factor * u + form.shift) + shift
                exact = torch.where(dropped, scale * form.dropped + shift, exact)
                exact_slope = scale * (form.linear + form.factor * slope)
                off = (z.detach().double() - exact).abs().max()
                off_slope = (gradient.double() - exact_slope).abs().where(~dropped, 0).max()
                if off > allowed or off_slope > allowed:
                    return f"{dtype}, p={p}: off by {off:.2g}, the gradient by {off_slope:.2g}"
                if abs(dropped.double().mean() - p) > 0.004:
                    return f"{dtype}: {dropped.double().mean():.4f} dropped, not {p}"
    return ""


if __name__ == "__main__":
    main("forms", measure)
