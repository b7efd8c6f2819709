"""The CPU kernels: against the reference, for every layout; cached; and when they cannot be had."""

import importlib
import math
import os
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mpmath
import pytest
import torch

import selfnorm
from selfnorm._spec._constants import BOTTOM, LAMBDA
from selfnorm._spec._philox import BLOCK
from selfnorm.errors import SelfNormWarning
from selfnorm.ops import _cpu, _reference, serving
from selfnorm.ops._constants import derivative
from selfnorm.ops._cpu import _pool
from selfnorm.ops._cpu._context import ELEMENTS
from selfnorm.ops._library import SCHEMAS
from support.compare import assert_close, assert_same, assert_within_ulps
from support.fresh import run_fresh
from support.require import require
from support.samples import DTYPES, HALF, LAYOUTS, normal, special
from support.tolerances import KERNEL_ULPS, SAME_UP_TO_ROUNDING, SLOPE_ULPS

SEED = torch.tensor(0x0FEDCBA987654321)
P = 0.3
SHAPED, SHIFTED = (0.917, 0.0841, 0.0), (0.0, 0.966, -0.258)


@pytest.fixture(autouse=True)
def _kernels_are_there() -> None:
    require("cpu", _cpu.why_not())


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
        "shaped_selu": (None, 0.0, *SHAPED),
        "shaped_selu shifted": (None, 0.0, *SHIFTED),
        "shaped_selu dropped": (SEED, P, *SHAPED),
        "shaped_selu_backward": (grad, None, 0.0, *SHAPED),
        "shaped_selu_backward shifted dropped": (grad, SEED, P, *SHIFTED),
    }


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", cases(torch.zeros(0)))
def test_kernels_equal_the_reference(case: str, layout: str, dtype: torch.dtype) -> None:
    """The same mask bit for bit, the same values up to rounding, written in place or not."""
    x = LAYOUTS[layout](dtype)
    name, arguments = case.split(maxsplit=1)[0], cases(x)[case]
    expected = getattr(_reference, name)(x, *arguments)
    out = torch.empty_like(x)
    getattr(_cpu, name)(out, x, *arguments)
    assert_close(out, expected, SAME_UP_TO_ROUNDING[dtype])
    if layout == "expanded":
        return  # cannot be written
    over = torch.empty_strided(x.shape, x.stride(), dtype=dtype).copy_(x)
    getattr(_cpu, name)(over, over, *arguments)
    assert_same(over, out)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", cases(torch.zeros(0)))
def test_special_values(case: str, dtype: torch.dtype) -> None:
    x = special(dtype).repeat(40, 1)
    name, arguments = case.split(maxsplit=1)[0], cases(x)[case]
    out = torch.empty_like(x)
    getattr(_cpu, name)(out, x, *arguments)
    assert_close(out, getattr(_reference, name)(x, *arguments), SAME_UP_TO_ROUNDING[dtype])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_fused_is_composed_bit_for_bit(dtype: torch.dtype) -> None:
    x = normal(5000, dtype=dtype)
    fused, step = torch.empty_like(x), torch.empty_like(x)
    _cpu.selu_alpha_dropout(fused, x, SEED, P)
    _cpu.selu(step, x)
    _cpu.alpha_dropout(step, step, SEED, P, 0, False)
    if dtype.itemsize < 4:  # the composition rounds to half precision once more
        assert_close(fused, step, SAME_UP_TO_ROUNDING[dtype])
    else:
        assert_same(fused, step)


@pytest.mark.parametrize("shape", [(1,), (BLOCK - 1,), (BLOCK,), (3 * BLOCK + 5,), (70, 3, 41)])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_thread_count_changes_nothing(threads: int, shape: tuple[int, ...]) -> None:
    x = normal(200, *shape)
    expected = _reference.selu_alpha_dropout(x, SEED, P)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        out = torch.empty_like(x)
        _cpu.selu_alpha_dropout(out, x, SEED, P)
    finally:
        torch.set_num_threads(before)
    assert_close(out, expected, SAME_UP_TO_ROUNDING[torch.float32])
    floor = out.min()
    assert_same(out == floor, expected == expected.min())


def test_a_seed_for_each_sample() -> None:
    x, seeds = normal(3, 2, 700), torch.arange(6).view(3, 2).T.contiguous().T * 987654321987
    for name, rest in (("selu_alpha_dropout", (P,)), ("alpha_dropout", (P, 0, False))):
        out = torch.empty_like(x)
        getattr(_cpu, name)(out, x, seeds, *rest)
        assert_close(
            out, getattr(_reference, name)(x, seeds, *rest), SAME_UP_TO_ROUNDING[torch.float32]
        )
    out = torch.empty_like(x)
    _cpu.alpha_dropout(out, x, seeds[:, 0], P, 1, False)
    expected = _reference.alpha_dropout(x, seeds[:, 0], P, 1, False)
    assert_close(out, expected, SAME_UP_TO_ROUNDING[torch.float32])


def test_what_lies_behind_the_end_is_not_touched() -> None:
    memory = torch.full((2 * BLOCK,), 7.0)
    for size in (1, 5, 17, 100, BLOCK - 3, BLOCK + 1):
        _cpu.selu_alpha_dropout(memory[:size], normal(size), SEED, P)
        assert (memory[size:] == 7.0).all()
        memory.fill_(7.0)


def every_so_many(count: int) -> torch.Tensor:
    """float32 numbers evenly spread over all bit patterns."""
    bits = torch.arange(-(1 << 31), 1 << 31, (1 << 32) // count, dtype=torch.int64)
    return bits.to(torch.int32).view(torch.float32)


def exact_selu(x: torch.Tensor) -> torch.Tensor:
    x = x.double()
    return torch.where(x > 0, float(LAMBDA) * x, float(BOTTOM) * torch.expm1(x))


def test_a_million_float32_forward() -> None:
    x = every_so_many(1_000_003)
    x = x[exact_selu(x).abs() <= torch.finfo(torch.float32).max]
    assert_within_ulps(selfnorm.selu(x), exact_selu(x), KERNEL_ULPS[torch.float32])


def exact_slope(x: torch.Tensor) -> torch.Tensor:
    x = x.double()
    return torch.where(x > 0, float(LAMBDA), float(BOTTOM) * x.exp())


def test_a_million_float32_backward() -> None:
    """The true derivative, down to where it is the smallest number of all."""
    x = every_so_many(1_000_003)
    x = torch.cat((x[~x.isnan()], -torch.linspace(0, 110, 300_000))).requires_grad_()
    (slope,) = torch.autograd.grad(selfnorm.selu(x).sum(), x)
    assert_within_ulps(slope, exact_slope(x.detach()), KERNEL_ULPS[torch.float32])


def test_a_million_float32_backward_from_the_output() -> None:
    """Against the derivative at the output, all that the backward pass knows."""
    floor = derivative(0.0, torch.float32).floor
    z = every_so_many(1_000_003)
    z = z[(z >= floor) & z.isfinite()]
    exact = torch.where(z > 0, float(LAMBDA), z.double() + float(BOTTOM)).where(z != floor, 0.0)
    slope = torch.empty_like(z)
    _cpu.selu_backward(slope, z, torch.ones_like(z), 0.0)
    assert_within_ulps(slope, exact, KERNEL_ULPS[torch.float32])


def test_float64() -> None:
    """Forward, and backward down to where the derivative is the smallest number of all."""
    x = torch.cat((normal(2000, dtype=torch.float64) * 3, -torch.rand(2000).double()))
    x = torch.cat((x, -torch.linspace(0, 750, 2000).double())).requires_grad_()
    y = selfnorm.selu(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    with mpmath.workdps(40):
        bottom, slope = (mpmath.mpf(c.numerator) / c.denominator for c in (BOTTOM, LAMBDA))
        values = [slope * v if v > 0 else bottom * mpmath.expm1(v) for v in x.tolist()]
        slopes = [slope if v > 0 else bottom * mpmath.exp(v) for v in x.tolist()]
    for found, exact, most in (
        (y, values, KERNEL_ULPS[torch.float64]),
        (gradient, slopes, SLOPE_ULPS),
    ):
        with mpmath.workdps(40):
            errors = [
                float(abs(mpmath.mpf(one) - other)) / math.ulp(float(other))
                for one, other in zip(found.tolist(), exact, strict=True)
            ]
        assert max(errors) <= most


@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_every_half_is_correctly_rounded(dtype: torch.dtype) -> None:
    """float64 to half precision rounds once, as no exact result is as near to a tie as float64."""
    x = torch.arange(-(1 << 15), 1 << 15).to(torch.int16).view(dtype)
    assert_same(selfnorm.selu(x).nan_to_num(), exact_selu(x).to(dtype).nan_to_num())
    slope = torch.empty_like(x)
    _cpu.selu_backward_from_input(slope, x, torch.ones_like(x))
    assert_same(slope.nan_to_num(), exact_slope(x).to(dtype).nan_to_num())
    floor = derivative(0.0, dtype).floor
    z = x[(x >= floor) | x.isnan()]
    exact = torch.where(z > 0, float(LAMBDA), z.double() + float(BOTTOM)).where(z != floor, 0.0)
    slope = torch.empty_like(z)
    _cpu.selu_backward(slope, z, torch.ones_like(z), 0.0)
    assert_same(slope.nan_to_num(), exact.to(dtype).nan_to_num())


KERNELS = (
    *SCHEMAS,
    "feature_alpha_dropout",
    "shaped_selu_alpha_dropout",
    "shaped_selu_alpha_dropout_backward",
)


@cache
def compile_once() -> Callable[[str, str], Any]:
    """Two tests look at each kernel, and Numba takes half a second."""
    return cache(importlib.import_module("selfnorm.ops._cpu._kernels").compile_kernel)


@pytest.mark.parametrize("element", ELEMENTS.values())
@pytest.mark.parametrize("name", KERNELS)
def test_loops_are_vector_code(name: str, element: str) -> None:
    """Easily lost, and nothing else says so."""
    code = compile_once()(name, element).inspect_llvm()
    number = "double" if element == "f8" else "float"
    operation = rf"fmul <\d+ x {number}>" if name == "selu_backward" else r"llvm\.fma\.v\d+f"
    assert re.search(operation, code)
    if "dropout" in name:
        assert re.search(r"<\d+ x i64>", code), "the random bits"


@pytest.mark.parametrize("element", sorted(set(ELEMENTS.values()) - {"i2"}))
@pytest.mark.parametrize("name", KERNELS)
def test_machine_code_has_the_widest_vectors(
    name: str, element: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Intel LLVM alone would take 256 bits, and for float16 that is as good."""
    store = importlib.import_module("selfnorm.ops._cpu._store")
    monkeypatch.setattr("selfnorm.ops._cpu._kernels.compile_kernel", compile_once())
    if not store.llvm.get_host_cpu_features().get("avx512f"):
        pytest.skip("this processor has no AVX-512")
    code = store._machine().emit_assembly(store._optimize(name, element))
    assert re.search(rf"\bv\w+p{'d' if element == 'f8' else 's'}\b.*%zmm", code)
    if "dropout" in name:
        assert re.search(r"\bvpmuludq\b.*%zmm", code), "the random bits"


def test_other_code_of_numba_keeps_its_width() -> None:
    kernels = importlib.import_module("selfnorm.ops._cpu._kernels")
    numba = importlib.import_module("numba")
    before = (dict(os.environ), numba.config.CPU_NAME, numba.config.CPU_FEATURES)
    widest = importlib.import_module("selfnorm.ops._cpu._intrinsics").WIDEST
    assert widest in kernels.compile_kernel("selu", "f4").inspect_llvm()
    assert (dict(os.environ), numba.config.CPU_NAME, numba.config.CPU_FEATURES) == before
    other = numba.njit("f4(f4[::1])")(lambda x: x.sum())
    assert "prefer-vector-width" not in other.inspect_llvm(other.signatures[0])


def test_importing_does_not_import_numba() -> None:
    run_fresh("import sys, selfnorm.nn; assert 'numba' not in sys.modules")


CALL = "import sys, torch, selfnorm; selfnorm.selu(torch.zeros(3)); print('numba' in sys.modules)"


def test_code_on_disk_serves_a_fresh_process(tmp_path: Path) -> None:
    assert run_fresh(CALL, SELFNORM_CACHE=str(tmp_path)) == "True\n"
    (file,) = tmp_path.iterdir()
    assert re.fullmatch(r"selu-f4-[0-9a-f]{24}\.o", file.name)
    assert run_fresh(CALL, SELFNORM_CACHE=str(tmp_path)) == "False\n"


def test_first_calls_from_many_threads(tmp_path: Path) -> None:
    code = (
        "import threading, torch, selfnorm\n"
        "x, sums = torch.linspace(-3, 3, 1000), []\n"
        "def work(): sums.append(selfnorm.selu(x).sum().item())\n"
        "threads = [threading.Thread(target=work) for _ in range(8)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
        "print(len(sums), len(set(sums)))"
    )
    assert run_fresh(code, SELFNORM_CACHE=str(tmp_path)) == "8 1\n"


def test_damaged_code_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = importlib.import_module("selfnorm.ops._cpu._store")
    monkeypatch.setenv("SELFNORM_CACHE", str(tmp_path))
    compiled, made = store._compile, list[bytes]()
    monkeypatch.setattr(store, "_compile", lambda *a: made.append(compiled(*a)) or made[-1])
    assert store.load("selu", "f4")
    (file,) = tmp_path.iterdir()
    for damaged in (b"no object file", file.read_bytes()[:-1]):
        file.write_bytes(damaged)
        before = len(made)
        assert store._read(file) is None  # or loading it would end this process
        assert store.load("selu", "f4")
        assert len(made) == before + 1
        assert store._read(file) == made[-1]
    assert store.load("selu", "f4")
    assert len(made) == 3, "what is whole is taken"


def test_a_folder_that_cannot_be_written_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert run_fresh(CALL, SELFNORM_CACHE=str(tmp_path / "file" / "below")) == "True\n"


def test_other_kernels_have_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    store = importlib.import_module("selfnorm.ops._cpu._store")
    before = store._digest()
    store._digest.cache_clear()
    monkeypatch.setattr(store._philox, "ROUNDS", 10)
    assert store._digest() != before
    monkeypatch.undo()
    store._digest.cache_clear()
    assert store._digest() == before


def test_other_text_of_the_kernels_has_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    store = importlib.import_module("selfnorm.ops._cpu._store")
    before, read = store._digest(), Path.read_bytes
    for changed in ("_kernels.py", "_store.py"):
        monkeypatch.setattr(Path, "read_bytes", lambda p, c=changed: read(p) + b"#" * (p.name == c))
        assert store._digest.__wrapped__() != before
    monkeypatch.undo()
    assert store._digest.__wrapped__() == before


SHOW = "print(selfnorm.selu(torch.tensor([1.0])).item(), selfnorm.ops.serving()['CPU'])"


def test_without_numba_the_reference_serves_in_silence() -> None:
    hide = "import sys; sys.modules['numba'] = None\n"
    finder = (
        "import importlib.util as u; f = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'numba' else f(name, *a)\n"
    )
    said = run_fresh(f"{hide}{finder}import torch, selfnorm, selfnorm.ops\n{SHOW}")
    assert said == "1.0507010221481323 plain torch, as numba is not installed\n"


def test_a_broken_numba_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "numba.py").write_text("raise ImportError('numba needs NumPy 1.0')")
    code = f"import torch, selfnorm, selfnorm.ops\n{SHOW}\n{SHOW}"
    paths = f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"
    said = run_fresh(code, PYTHONPATH=paths, SELFNORM_CACHE=str(tmp_path / "none"))
    assert said.count("1.0507010221481323 plain torch, as numba is installed but") == 2
    assert said.count(SelfNormWarning.__name__) == 1
    assert "NumPy 1.0" in said
    assert "Reinstall numba" in said


def fail_with(error: Exception) -> Callable[..., object]:
    def fail(*_: object) -> object:
        raise error

    return fail


FAULTS: dict[str, tuple[Callable[[pytest.MonkeyPatch, Any], object], str, str]] = {
    "no library of torch": (
        lambda patch, _: patch.setattr(_pool.ctypes, "CDLL", fail_with(OSError("no such file"))),
        "torch's own library for CPUs cannot be loaded (OSError: no such file)",
        "Install torch anew",
    ),
    "an old torch": (
        lambda patch, _: patch.setattr(_pool.ctypes, "CDLL", lambda _: object()),
        "this torch does not let others run on its threads (AttributeError",
        "Install torch anew",
    ),
    "no llvmlite": (
        lambda patch, _: without_llvmlite(patch),
        "llvmlite, which numba compiles with, cannot be imported (ModuleNotFoundError",
        "Reinstall numba and llvmlite",
    ),
    "no versions": (
        lambda patch, store: patch.setattr(store, "_digest", fail_with(PermissionError("not you"))),
        "which numba and llvmlite are installed, cannot be read (PermissionError: not you)",
        "Reinstall selfnorm, numba and llvmlite",
    ),
    "a broken numba": (
        lambda patch, store: patch.setattr(store, "_compile", fail_with(ImportError("NumPy 1"))),
        "numba is installed but its kernels do not work (ImportError: NumPy 1)",
        "Reinstall numba, or remove it",
    ),
    "another numba": (
        lambda patch, _: patch.setattr(
            importlib.import_module("selfnorm.ops._cpu._kernels"),
            "compile_kernel",
            lambda *_: SimpleNamespace(inspect_llvm=lambda: "define i64 @f() {\n ret i64 0\n}\n"),
        ),
        "its kernels do not work (RuntimeError: its LLVM code must have one function 'i32 (ptr, ",
        "Reinstall numba, or remove it",
    ),
    "a broken llvmlite": (
        lambda patch, store: patch.setattr(store, "_link", fail_with(RuntimeError("no engine"))),
        "llvmlite cannot load a kernel's machine code (RuntimeError: no engine)",
        "Reinstall llvmlite, and remove '",
    ),
}
OF_NUMBA = ("a broken numba", "another numba")


def without_llvmlite(patch: pytest.MonkeyPatch) -> None:
    patch.delattr("selfnorm.ops._cpu._store")
    patch.delitem(sys.modules, "selfnorm.ops._cpu._store")
    for name in ("llvmlite", "llvmlite.binding"):
        patch.setitem(sys.modules, name, None)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_told_as_what_it_is(
    fault: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = importlib.import_module("selfnorm.ops._cpu._store")
    monkeypatch.setenv("SELFNORM_CACHE", str(tmp_path))
    monkeypatch.setattr(_pool, "_broken", [])
    for name in ("library", "parallel_for"):
        monkeypatch.setattr(_pool, name, getattr(_pool, name).__wrapped__)
    make, told, mend = FAULTS[fault]
    make(monkeypatch, store)
    with pytest.warns(SelfNormWarning) as caught:
        assert _pool._address.__wrapped__("selu", torch.float32) is None
    (warning,) = caught
    assert told in str(warning.message)
    assert mend in str(warning.message)
    assert told in str(_pool.why_not())
    assert ("numba is installed but" in str(warning.message)) == (fault in OF_NUMBA)


def test_what_serves_is_said() -> None:
    assert serving()["CPU"] == "Numba"
    assert _pool.why_not() is None
