"""The short way past the dispatcher: who takes it, and that it leads to the same place."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import selfnorm
from selfnorm.ops import _cpu, _direct, _gpu
from support.compare import assert_same
from support.fresh import run_fresh
from support.require import require
from support.samples import normal

P = 0.3


class Listener(TorchDispatchMode):
    """Sees which operations run, and lets them."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen.add(func.name())
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["alpha_dropout", "selu_alpha_dropout"])
@pytest.mark.parametrize("inplace", [False, True])
def test_the_short_way_is_taken_and_is_the_long_way(
    inplace: bool, name: str, device: torch.device
) -> None:
    require(*(("gpu", _gpu.why_not()) if device.type == "cuda" else ("cpu", _cpu.why_not())))
    x = normal(3000).to(device).requires_grad_()

    def run() -> tuple[torch.Tensor, torch.Tensor]:
        torch.manual_seed(1)
        z = getattr(selfnorm, name)(x * 1, P, training=True, inplace=inplace)
        return z.detach(), torch.autograd.grad(z.sum(), x)[0]

    assert _direct.possible(x)
    short, short_gradient = run()
    with Listener() as listener:
        assert not _direct.possible(x)
        long, long_gradient = run()
    assert_same(long.cpu(), short.cpu())
    assert_same(long_gradient.cpu(), short_gradient.cpu())
    assert f"selfnorm::{name}" in listener.seen


@pytest.mark.filterwarnings("ignore:.*Profiler clears events:UserWarning")  # torch 2.11
def test_a_profile_shows_what_runs_every_day(device: torch.device) -> None:
    """The short way, under its name: the long one takes time of its own."""
    require(*(("gpu", _gpu.why_not()) if device.type == "cuda" else ("cpu", _cpu.why_not())))
    x = normal(3000).to(device).requires_grad_()
    with torch.profiler.profile() as profile:
        assert _direct.possible(x)
        selfnorm.selu_alpha_dropout(x * 1, P, training=True, inplace=True).sum().backward()
        selfnorm.selu(x).sum().backward()
    seen = {event.key for event in profile.key_averages()}
    names = ("selu", "selu_backward_from_input", "selu_alpha_dropout", "selu_backward")
    assert {f"selfnorm::{name}" for name in names} <= seen


@pytest.mark.parametrize(
    "odd",
    [
        lambda: torch.complex(normal(3), normal(3)).conj().imag,  # negated lazily
        lambda: torch._to_functional_tensor(normal(3)),
        lambda: normal(3).to_mkldnn(),
        lambda: torch.empty(3, device="meta"),
        lambda: torch.nested.nested_tensor([normal(3)]),
        lambda: normal(3).to_sparse(),
        lambda: torch._efficientzerotensor((3,)),
    ],
    ids=["negated", "functional", "mkldnn", "meta", "nested", "sparse", "zero"],
)
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_odd_tensors_take_the_long_way(odd) -> None:
    assert not _direct.possible(odd())


def test_a_lazily_negated_input() -> None:
    x = torch.complex(normal(30), normal(30)).conj().imag
    assert x.is_neg()
    assert_same(selfnorm.selu(x), selfnorm.selu(x.resolve_neg()))


def test_inference_mode_in_either_order() -> None:
    """The scratch memory of the seed is not tied to the mode in which it was made."""
    code = (
        "import torch, selfnorm; x = torch.randn(9)\n"
        "with torch.inference_mode(): selfnorm.selu_alpha_dropout(x, .5, True)\n"
        "selfnorm.selu_alpha_dropout(x, .5, True)\n"
        "with torch.inference_mode(): selfnorm.selu_alpha_dropout(x * 1, .5, True, inplace=True)\n"
    )
    run_fresh(code)
