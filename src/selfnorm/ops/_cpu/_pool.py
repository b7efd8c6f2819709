"""Kernels found, compiled when first needed, and run on torch's own threads.

torch's stable C interface has `torch_parallel_for(begin, end, grain, function, context)` since 2.10
(https://github.com/pytorch/pytorch/pull/161320; `torch/csrc/stable/c/shim.h`); through it
`torch.set_num_threads` holds, nested parallelism is torch's affair, and no second pool competes
for the cores. `ctypes` releases Python's lock while it runs.
"""

import ctypes
import importlib.util
import platform
import sys
import threading
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import torch

from selfnorm.errors import SelfNormWarning
from selfnorm.ops._cpu._context import ELEMENTS
from selfnorm.ops._cpu._steps import StepError, step

# What torch calls x86 processors without AVX2; others are "DEFAULT" too, and have what it takes.
_TOO_OLD = ("NO AVX", "DEFAULT") if platform.machine().lower() in ("x86_64", "amd64") else ()
_TORCH = "Install torch anew, 2.10 or later"
_broken: list[str] = []
_one_at_a_time = threading.Lock()


def why_not() -> str | None:
    """Why the reference serves instead, or None if the kernels do."""
    if importlib.util.find_spec("numba") is None:
        return "numba is not installed"
    if torch.backends.cpu.get_cpu_capability() in _TOO_OLD:
        return "this processor has no fused multiply-add"
    return _broken[0] if _broken else None


def address(name: str, dtype: torch.dtype) -> int | None:
    """Where the machine code of a kernel lies; None, after one warning, if it cannot be made."""
    with _one_at_a_time:
        return _address(name, dtype)


@cache
def _address(name: str, dtype: torch.dtype) -> int | None:
    if _broken:
        return None
    try:
        parallel_for()
        with step(
            "llvmlite, which numba compiles with, cannot be imported",
            "Reinstall numba and llvmlite, or remove numba to silence this",
        ):
            from selfnorm.ops._cpu import _store  # noqa: PLC0415 - llvmlite may be missing too
        return _store.load(name, ELEMENTS[dtype])
    except StepError as error:
        _give_up(*error.args)
        return None


@cache
def library() -> ctypes.CDLL:
    """The library that torch has loaded."""
    name = {"win32": "torch_cpu.dll", "darwin": "libtorch_cpu.dylib"}.get(
        sys.platform, "libtorch_cpu.so"
    )
    with step("torch's own library for CPUs cannot be loaded", _TORCH):
        return ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / name))


@cache
def parallel_for() -> Any:
    """Its `torch_parallel_for`."""
    with step("this torch does not let others run on its threads", _TORCH):
        function = library().torch_parallel_for
    function.argtypes = [ctypes.c_int64] * 3 + [ctypes.c_void_p, ctypes.c_char_p]
    function.restype = ctypes.c_int32
    return function


def _give_up(fault: str, mend: str) -> None:
    _broken.append(fault)
    warnings.warn(
        f"selfnorm's CPU kernels cannot be used: {fault}. Plain torch serves instead: the same "
        f"results, slower. {mend}.",
        SelfNormWarning,
        stacklevel=2,
    )
