"""`selfnorm info`: versions, threads, devices, and which kernels serve."""

import platform
from importlib.metadata import PackageNotFoundError, version

from rich.table import Table

from selfnorm.cli._console import output

_PACKAGES = ("selfnorm", "torch", "numpy", "scipy", "scikit-learn", "pyarrow", "numba", "triton")


def info() -> None:
    """Print versions, threads, devices, and which kernels serve."""
    import torch

    from selfnorm import ops

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row(
        "Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    )
    for package in _PACKAGES:
        table.add_row(package, _version(package))
    table.add_row("threads", f"{torch.get_num_threads()} (torch.set_num_threads)")
    for number in range(torch.cuda.device_count()):
        table.add_row(f"cuda:{number}", torch.cuda.get_device_name(number))
    if not torch.cuda.is_available():
        table.add_row("GPU", "none that torch can use")
    for device, kernel in ops.serving().items():
        table.add_row(f"{device} kernels", kernel)
    output.print(table)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
