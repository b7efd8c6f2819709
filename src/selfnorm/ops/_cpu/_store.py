"""Machine code on disk, so that a fresh process needs neither Numba nor a compilation.

Importing Numba and setting up its compiler takes more than half a second; loading an object file by
llvmlite, a tenth of that. A file's name is the digest of all that its code follows from: the text
of the kernels, their constants, the compilers' versions and settings, and the processor.
"""

import hashlib
import os
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm

from selfnorm._files import write_file
from selfnorm._spec import _philox, _polynomials
from selfnorm.ops._cpu import _context
from selfnorm.ops._cpu._steps import step

_ENTRY = "selfnorm_kernel"
_LOOP = "i32 (ptr, ptr, i64, i64, ptr)"  # result, error, begin, end, context
_loaded: list[Any] = []  # machine code is freed with its engine


def load(name: str, element: str) -> int:
    """The address of a kernel's machine code, from disk or compiled now."""
    with step(
        "the kernels' text, or which numba and llvmlite are installed, cannot be read",
        "Reinstall selfnorm, numba and llvmlite",
    ):
        path = folder() / f"{name}-{element}-{_digest()}.o"
    code = _read(path)
    if code is None:
        with step(
            "numba is installed but its kernels do not work",
            "Reinstall numba, or remove it to silence this",
        ):
            code = _compile(name, element)
        _keep(path, code)
    with step(
        "llvmlite cannot load a kernel's machine code",
        f"Reinstall llvmlite, and remove '{path}' if it is there",
    ):
        return _link(code)


def folder() -> Path:
    """Where the code lies: `SELFNORM_CACHE`, or the user's folder for caches."""
    chosen = os.environ.get("SELFNORM_CACHE")
    if chosen:
        return Path(chosen)
    caches = os.environ.get("LOCALAPPDATA") or os.environ.get("XDG_CACHE_HOME")
    if caches:
        return Path(caches) / "selfnorm"
    # Without a home this is a folder that cannot be made; a shared one might hold others' code.
    try:
        return Path.home() / ".cache" / "selfnorm"
    except RuntimeError:
        return Path(os.devnull) / "selfnorm"


@cache
def _digest() -> str:
    files = ("_intrinsics.py", "_kernels.py", "_scalar.py", "_store.py")
    text = b"".join(Path(__file__).with_name(name).read_bytes() for name in files)
    philox = (_philox.ROUNDS, _philox.COUNTERS, _philox.MULTIPLIERS, _philox.KEY_STEPS)
    layout = (_context.HEAD, _context.NUMBERS, _context.STRIP, _context.CALL)
    constants = (_polynomials.SINGLE, _polynomials.DOUBLE, philox, layout)
    host = (llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())
    settings = sorted(item for item in os.environ.items() if item[0].startswith("NUMBA_"))
    others = (constants, host, settings, version("numba"), version("llvmlite"))
    return hashlib.sha256(text + repr(others).encode()).hexdigest()[:24]


def _compile(name: str, element: str) -> bytes:
    return _machine().emit_object(_optimize(name, element))


def _optimize(name: str, element: str) -> Any:
    """LLVM's code of one function of C, `void (int64 begin, int64 end, void *context)`.

    Numba's own entry would call Python to report errors, and kernels have none; so another is put
    before the loop itself, and all that it does not need is left out.
    """
    from selfnorm.ops._cpu._intrinsics import WIDEST  # noqa: PLC0415 - imports numba
    from selfnorm.ops._cpu._kernels import compile_kernel  # noqa: PLC0415 - the same

    code = compile_kernel(name, element).inspect_llvm()
    width = WIDEST if WIDEST in code else ""
    entry = f"""
define void @{_ENTRY}(i64 %begin, i64 %end, ptr %context) {width} {{
  %result = alloca ptr
  %error = alloca ptr
  call i32 @"{_find_loop(code)}"(ptr %result, ptr %error, i64 %begin, i64 %end, ptr %context)
  ret void
}}
"""
    module = llvm.parse_assembly(code + entry)
    for function in module.functions:
        if not function.is_declaration and function.name != _ENTRY:
            function.linkage = "internal"
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, llvm.create_pass_builder(_machine(), llvm.create_pipeline_tuning_options(3)))
    return module


def _find_loop(code: str) -> str:
    """The name of the one function that has the kernel's arguments behind Numba's own two."""
    functions = [f for f in llvm.parse_assembly(code).functions if not f.is_declaration]
    names = [f.name for f in functions if str(f.global_value_type) == _LOOP]
    if len(names) != 1:
        kinds = sorted({str(f.global_value_type) for f in functions})
        raise RuntimeError(
            f"its LLVM code must have one function '{_LOOP}', and has {len(names)} among {kinds}"
        )
    return names[0]


def _read(path: Path) -> bytes | None:
    """The code on disk, if it is there and whole: a damaged object file would end the process."""
    try:
        checksum, code = path.read_bytes().split(b"\n", 1)
    except (OSError, ValueError):
        return None
    return code if checksum == _checksum(code) else None


def _keep(path: Path, code: bytes) -> None:
    """Save the code, if there is a folder that can be written; else the next process compiles."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, _checksum(code) + b"\n" + code)


def _checksum(code: bytes) -> bytes:
    return hashlib.sha256(code).hexdigest().encode()


def _link(code: bytes) -> int:
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _loaded.append(engine)
    address = engine.get_function_address(_ENTRY)
    if not address:
        raise RuntimeError("the kernel is not in its object file")
    return address


@cache
def _machine() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        jit=True,
    )
