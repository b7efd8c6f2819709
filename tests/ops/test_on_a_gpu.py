"""The operations on a GPU, as users call them; where there is none, all of this is skipped."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import selfnorm
from selfnorm.errors import ArgumentError
from selfnorm.ops import _gpu, serving
from selfnorm.ops._library import OPS, SCHEMAS
from selfnorm.theory import shaped_selu
from support.compare import assert_close, assert_same
from support.require import require
from support.samples import DTYPES, LAYOUTS, normal
from support.statistics import assert_moments, kurtosis_of
from support.tolerances import SAME_UP_TO_ROUNDING

P = 0.3
SEED = 0x0FEDCBA987654321
FORM = shaped_selu(100)
# What torch says about itself while it traces an autograd.Function.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning"),
]


require("gpu", _gpu.why_not())


def seed_for(x: Tensor) -> Tensor:
    return torch.tensor(SEED, device=x.device)


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "selu": selfnorm.selu,
    "selu_": lambda x: selfnorm.selu(x.clone(), inplace=True),
    "selu operation": OPS.selu,
    "selu_alpha_dropout": lambda x: OPS.selu_alpha_dropout(x, seed_for(x), P),
    "alpha_dropout": lambda x: OPS.alpha_dropout(x, seed_for(x), P, 0, False),
    "feature_alpha_dropout": lambda x: OPS.alpha_dropout(x, seed_for(x), P, 1, False),
    "shaped": lambda x: selfnorm.selu(x, form=FORM),
    "shaped dropped": lambda x: OPS.shaped_selu(x, seed_for(x), P, *FORM),
}
each_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


def operations(x: Tensor) -> dict[str, tuple[Any, ...]]:
    seed = seed_for(x)
    return {
        "selu": (x,),
        "selu_backward_from_input": (x, torch.ones_like(x)),
        "selu_alpha_dropout": (x, seed, P),
        "selu_backward": (x, torch.ones_like(x), P),
        "alpha_dropout": (x, seed, P, 0, False),
        "shaped_selu": (x, seed, P, *FORM),
        "shaped_selu_backward": (x, torch.ones_like(x), seed, P, *FORM),
    }


def test_triton_serves() -> None:
    assert serving()["CUDA"] == "Triton"


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
@each_function
def test_values_gradients_and_layout_are_those_of_the_cpu(
    function: Callable[[Tensor], Tensor], layout: str, dtype: torch.dtype
) -> None:
    results = []
    for device in ("cpu", "cuda"):
        x = LAYOUTS[layout](dtype)
        if layout == "expanded":  # cannot be written
            moved = x[:, :1].to(device).expand(x.shape)
        else:
            moved = torch.empty_strided(x.shape, x.stride(), dtype=dtype, device=device).copy_(x)
        moved.requires_grad_()
        y = function(moved)
        (gradient,) = torch.autograd.grad(y, moved, torch.ones_like(y))
        results.append((y.detach(), gradient))
    (y, gradient), (there, gradient_there) = results
    assert there.stride() == y.stride()
    assert_same(there.cpu(), y)
    assert_same(gradient_there.cpu(), gradient)


@each_function
def test_derivatives(function: Callable[[Tensor], Tensor]) -> None:
    x = normal(6, 5, dtype=torch.float64)
    x = (x + 0.1 * x.sign()).cuda().requires_grad_()  # away from 0, where the derivative jumps
    assert gradcheck(function, x, check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(function, x, check_fwd_over_rev=True, check_rev_over_rev=True)


@pytest.mark.parametrize("layout", ["contiguous", "transposed", "sliced", "empty", "0-d"])
@pytest.mark.parametrize("name", SCHEMAS)
def test_opcheck(name: str, layout: str) -> None:
    arguments = operations(LAYOUTS[layout](torch.float32).cuda().requires_grad_())[name]
    torch.library.opcheck(getattr(OPS, name).default, arguments)


@pytest.mark.parametrize("inplace", [False, True])
def test_compiled_equals_eager(inplace: bool) -> None:
    def both(x: Tensor, p: float) -> Tensor:
        y = selfnorm.selu_alpha_dropout(x * 1, p, training=True, inplace=inplace)
        return selfnorm.alpha_dropout(selfnorm.selu(y * 1, inplace), p, training=True)

    torch.compiler.reset()
    compiled = torch.compile(both, fullgraph=True)
    for shape, p in (((6, 5), 0.3), ((7, 3), 0.3), ((7, 3), 0.4)):
        x = normal(*shape).cuda().requires_grad_()
        results = []
        for run in (both, compiled):
            torch.cuda.manual_seed(1)
            y = run(x, p)
            results.append((y.detach(), torch.autograd.grad(y.pow(2).sum(), x)[0]))
        for one, other in zip(*results, strict=True):
            assert_close(other.cpu(), one.cpu(), SAME_UP_TO_ROUNDING[torch.float32])


def test_a_cuda_graph_draws_a_new_mask_at_every_replay() -> None:
    """Captured without a call before it that would have prepared anything for this p."""
    x = normal(1 << 16).cuda().requires_grad_()
    p = 0.2125
    selfnorm.selu_alpha_dropout(x, P, training=True)  # compiles
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.stream(stream):
        selfnorm.selu_alpha_dropout(x, P, training=True).sum().backward()
        x.grad = None
        with torch.cuda.graph(graph, stream=stream):
            z = selfnorm.selu_alpha_dropout(x, p, training=True)
            (gradient,) = torch.autograd.grad(z.sum(), x)
    masks, values = [], []
    for _ in range(2):
        graph.replay()
        torch.cuda.synchronize()
        masks.append(gradient == 0)
        values.append(z.detach().cpu().numpy().copy())
    assert not torch.equal(*masks)
    for found in values:
        assert_moments(found, kurtosis=kurtosis_of(found))


def test_unaligned_memory_and_sizes_of_every_rest() -> None:
    """Kernels are kept by what they were compiled for: none may serve what it does not fit."""
    memory = normal(20_000).cuda()
    seed = torch.tensor(SEED)
    for size in (1, 15, 16, 512, 1024, 1025, 4096, 4097, 16_384):
        for start in (0, 1, 2, 4):
            x = memory[start : start + size]
            assert_same(OPS.selu(x).cpu(), OPS.selu(x.cpu()))
            expected = OPS.selu_alpha_dropout(x.cpu(), seed, P)
            assert_same(OPS.selu_alpha_dropout(x, seed.cuda(), P).cpu(), expected)
            grad = memory[1 : 1 + size]
            expected = OPS.selu_backward(x.cpu(), grad.cpu(), P)
            assert_same(OPS.selu_backward(x, grad, P).cpu(), expected)
            expected = OPS.selu_backward_from_input(x.cpu(), grad.cpu())
            assert_same(OPS.selu_backward_from_input(x, grad).cpu(), expected)
            for there in (None, seed):
                how = (0.0, *FORM) if there is None else (P, *FORM)
                on_gpu = None if there is None else there.cuda()
                expected = OPS.shaped_selu(x.cpu(), there, *how)
                assert_same(OPS.shaped_selu(x, on_gpu, *how).cpu(), expected)
                expected = OPS.shaped_selu_backward(x.cpu(), grad.cpu(), there, *how)
                assert_same(OPS.shaped_selu_backward(x, grad, on_gpu, *how).cpu(), expected)


def test_a_stream_of_its_own() -> None:
    x = normal(1 << 20).cuda()
    expected = OPS.selu_alpha_dropout(x, torch.tensor(SEED, device="cuda"), P)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        late = x * 1
        for _ in range(20):  # a kernel on another stream would not wait for these
            late = late * 1
        found = OPS.selu_alpha_dropout(late, torch.tensor(SEED, device="cuda"), P)
    stream.synchronize()
    assert_same(found.cpu(), expected.cpu())


def test_seeds_come_from_the_generator_of_the_device() -> None:
    x = normal(1000).cuda()
    one, other = (torch.Generator("cuda").manual_seed(5) for _ in range(2))
    before = torch.get_rng_state()
    first = selfnorm.alpha_dropout(x, P, training=True, generator=one)
    assert_same(selfnorm.alpha_dropout(x, P, training=True, generator=other).cpu(), first.cpu())
    assert not torch.equal(selfnorm.alpha_dropout(x, P, training=True, generator=other), first)
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises((ArgumentError, RuntimeError), match="cpu"):
        selfnorm.alpha_dropout(x, P, training=True, generator=torch.Generator())


def test_moments() -> None:
    x = torch.randn(1 << 22, device="cuda", generator=torch.Generator("cuda").manual_seed(2))
    torch.cuda.manual_seed(3)
    z = selfnorm.selu_alpha_dropout(x, 0.1, training=True).cpu().numpy()
    assert_moments(z, kurtosis=kurtosis_of(z))


def test_more_elements_than_an_int32_counts() -> None:
    """The last elements of 2^31 and some: where they lie, and that they are drawn anew."""
    size, some = (1 << 31) + 4096, 1 << 16
    if torch.cuda.mem_get_info()[0] < 6 * size:
        pytest.skip("too little memory")
    x = torch.zeros(size, dtype=torch.bfloat16, device="cuda")
    x[-some:] = x[:some] = normal(some, dtype=torch.bfloat16)
    y = selfnorm.selu(x)
    assert_same(y[-some:].cpu(), selfnorm.selu(x[-some:].cpu()))
    assert not y[some:-some].any()
    z = selfnorm.selu_alpha_dropout(x, P, training=True)
    floor = z.min()
    for part in (z[:some], z[-some:]):
        dropped = (part == floor).cpu().double().numpy()
        assert_moments(dropped, P, P * (1 - P), kurtosis_of(dropped))
    assert not torch.equal(z[:some] == floor, z[-some:] == floor)


def test_what_is_kept_for_backward_is_the_output() -> None:
    x = torch.randn(1 << 22, device="cuda", requires_grad=True)
    selfnorm.selu_alpha_dropout(x, P, training=True)
    before = torch.cuda.memory_allocated()
    z = selfnorm.selu_alpha_dropout(x, P, training=True)
    kept = torch.cuda.memory_allocated() - before
    assert kept <= z.numel() * z.element_size() + 4096  # the output and a seed
    del z
    with torch.no_grad():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        selfnorm.selu_alpha_dropout(x, P, training=True, inplace=True)
        assert torch.cuda.max_memory_allocated() - before <= 4096


def test_the_second_of_two_gpus() -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("there is one GPU")
    x = normal(5000)
    with torch.cuda.device(0):
        found = OPS.selu_alpha_dropout(x.to("cuda:1"), torch.tensor(SEED, device="cuda:1"), P)
    assert found.device == torch.device("cuda:1")
    assert_same(found.cpu(), OPS.selu_alpha_dropout(x, torch.tensor(SEED), P))


def test_autocast_leaves_the_dtype_alone() -> None:
    with torch.autocast("cuda", dtype=torch.bfloat16):
        for dtype in (torch.float32, torch.bfloat16):
            for function in FUNCTIONS.values():
                assert function(normal(3, 4, dtype=dtype).cuda()).dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_network_learns(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = selfnorm.nn.MLP(64, 1, width=128, depth=8, dropout=0.05).to("cuda", dtype)
    x = torch.randn(512, 64, device="cuda").to(dtype)
    y = x[:, :4].sum(1, keepdim=True)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = (model(x) - y).float().square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
