"""The GPU kernels: in Triton's interpreter, compiled without a GPU, and on one if there is one."""

from importlib.util import find_spec
from types import ModuleType

import pytest
import torch

from selfnorm._spec._philox import BLOCK
from selfnorm.ops import _cpu, _reference
from support.compare import assert_close, assert_same
from support.fresh import run_fresh
from support.require import require
from support.samples import DTYPES, LAYOUTS, normal, special
from support.tolerances import SAME_UP_TO_ROUNDING

SEED = torch.tensor(0x0FEDCBA987654321)
P = 0.3
SHAPED, SHIFTED = (0.917, 0.0841, 0.0), (0.0, 0.966, -0.258)


def cases(x: torch.Tensor) -> dict[str, tuple[object, ...]]:
    grad = normal(*x.shape, dtype=x.dtype, seed=8)
    return {
        "selu": (),
        "selu_backward_from_input": (grad,),
        "selu_backward": (grad, P),
        "selu_alpha_dropout": (SEED, P),
        "alpha_dropout": (SEED, P, 0, False),
        "alpha_dropout linear": (SEED, P, 0, True),
        "alpha_dropout channels": (SEED, P, min(1, x.ndim), False),
        "shaped_selu shifted": (None, 0.0, *SHIFTED),
        "shaped_selu dropped": (SEED, P, *SHAPED),
        "shaped_selu_backward": (grad, None, 0.0, *SHIFTED),
        "shaped_selu_backward dropped": (grad, SEED, P, *SHAPED),
    }


each_case = pytest.mark.parametrize("case", cases(torch.zeros(0)))
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def written(kernels: ModuleType, case: str, x: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(x)
    getattr(kernels, case.split(maxsplit=1)[0])(out, x, *cases(x)[case])
    return out


# Of float16, and of the largest number times a scale above 1.
@pytest.mark.filterwarnings("ignore:overflow encountered in (cast|multiply):RuntimeWarning")
# Of infinity minus itself and times 0, on the side that is not chosen.
@pytest.mark.filterwarnings(
    "ignore:invalid value encountered in (add|subtract|multiply):RuntimeWarning"
)
@each_dtype
@each_case
def test_the_same_bits_as_on_cpu(gpu_kernels: ModuleType, case: str, dtype: torch.dtype) -> None:
    require("cpu", _cpu.why_not())
    x = torch.cat((normal(3 * BLOCK + 5, dtype=dtype), special(dtype)))
    assert_same(written(gpu_kernels, case, x), written(_cpu, case, x))


@pytest.mark.parametrize("layout", LAYOUTS)
@each_case
def test_kernels_equal_the_reference(gpu_kernels: ModuleType, case: str, layout: str) -> None:
    x = LAYOUTS[layout](torch.float32)
    expected = getattr(_reference, case.split(maxsplit=1)[0])(x, *cases(x)[case])
    out = written(gpu_kernels, case, x)
    assert_close(out, expected, SAME_UP_TO_ROUNDING[torch.float32])
    if layout == "expanded":
        return  # cannot be written
    over = torch.empty_strided(x.shape, x.stride()).copy_(x)
    getattr(gpu_kernels, case.split(maxsplit=1)[0])(over, over, *cases(x)[case])
    assert_same(over, out)


@pytest.mark.parametrize("size", [1, BLOCK - 1, BLOCK, BLOCK + 1, 9 * BLOCK + 3])
def test_masks_of_any_size(gpu_kernels: ModuleType, size: int) -> None:
    x = normal(size)
    memory = torch.full((size + 9 * BLOCK,), 7.0)
    out = memory[:size]
    gpu_kernels.selu_alpha_dropout(out, x, SEED, P)
    expected = _reference.selu_alpha_dropout(x, SEED, P)
    assert_close(out, expected, SAME_UP_TO_ROUNDING[torch.float32])
    assert (memory[size:] == 7.0).all(), "what lies behind the end is not touched"


@pytest.mark.parametrize("inner", [2, 49, 1500])
def test_channels_of_any_size(gpu_kernels: ModuleType, inner: int) -> None:
    x = normal(3, 200 if inner < 1000 else 20, inner)  # an interpreter is slow
    out = torch.empty_like(x)
    gpu_kernels.alpha_dropout(out, x, SEED, P, 1, False)
    expected = _reference.alpha_dropout(x, SEED, P, 1, False)
    assert_close(out, expected, SAME_UP_TO_ROUNDING[torch.float32])


def test_a_seed_for_each_sample(gpu_kernels: ModuleType) -> None:
    x, seeds = normal(3, 3, 700), torch.arange(9).view(3, 3) * 987654321987
    for name, rest in (("selu_alpha_dropout", (P,)), ("alpha_dropout", (P, 1, False))):
        seed = seeds if name == "selu_alpha_dropout" else seeds[:, 0]
        memory = torch.full((x.numel() + 9 * BLOCK,), 7.0)
        out = memory[: x.numel()].view(x.shape)
        getattr(gpu_kernels, name)(out, x, seed, *rest)
        expected = getattr(_reference, name)(x, seed, *rest)
        assert_close(out, expected, SAME_UP_TO_ROUNDING[torch.float32])
        assert (memory[x.numel() :] == 7.0).all(), "what lies behind the end is not touched"


COMPILE = """
import re
import sys

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from selfnorm.ops._gpu import _kernels

capability, element = int(sys.argv[1]), sys.argv[2]
data, aligned = f"*{element}", [["tt.divisibility", 16]]
blocks = 8 if element == "bf16" else 4
known = {
    "selu": {"SIZE": 1024},
    "selu_backward": {"SIZE": 1024},
    "selu_backward_from_input": {"SIZE": 1024},
    "by_blocks": {"SELU": True, "ONE": True, "EVEN": False, "BLOCKS": blocks},
    "by_channels": {"EVEN": True, "ROWS": 1, "COLUMNS": 1024},
    "shaped": {"BACKWARD": True, "DROP": True, "ONE": True, "EVEN": False, "BLOCKS": blocks},
}
pointers = {"out": data, "x": data, "output": data, "grad": data, "seeds": "*i64"}
for name, sizes in known.items():
    kernel = getattr(_kernels, name)
    signature = {
        argument: "constexpr" if argument in sizes else pointers.get(argument, "i64")
        for argument in kernel.arg_names
    }
    attrs = {(i,): aligned for i, kind in enumerate(signature.values()) if kind[0] == "*"}
    source = ASTSource(kernel, signature, constexprs=sizes, attrs=attrs)
    target = GPUTarget("cuda", capability, 32)
    made = triton.compile(source, target=target, options={"enable_fp_fusion": False})
    ptx = made.asm["ptx"]
    assert ".local" not in ptx, f"{name} keeps arrays in memory"
    print(name, sorted(set(re.findall(r"(?:ld|st)\\.global[.\\w]*", ptx))))
"""


@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
@pytest.mark.parametrize(("capability", "element"), [(80, "fp32"), (90, "bf16"), (90, "fp64")])
def test_kernels_compile_for_a_gpu_that_is_not_there(capability: int, element: str) -> None:
    """Down to machine code, with accesses of 16 bytes."""
    said = run_fresh(COMPILE, capability, element, TRITON_INTERPRET=None)
    accesses = dict(line.split(" ", 1) for line in said.splitlines())
    wide = "v2.b64" if element == "fp64" else "v4.b32"
    for found in accesses.values():
        assert f"ld.global.{wide}" in found, accesses
        assert f"st.global.{wide}" in found, accesses
