"""Which device trains."""

import torch

from selfnorm.errors import ArgumentError


def torch_device(name: str) -> torch.device:
    """A device by its name; `auto` is the GPU where there is one.

    Raises:
        ArgumentError: torch knows no such device, or cannot use it here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        probe = torch.zeros(1, device=name, dtype=torch.float64)
        probe.item()  # the device `meta` holds no values
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ArgumentError(
            f"The device must be one on which torch computes in float64 here; '{name}' is not. "
            "Give 'cpu' or 'auto'."
        ) from error
    return probe.device
