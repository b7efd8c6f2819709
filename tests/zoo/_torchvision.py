"""Lets torchvision be imported beside another build of torch.

Its compiled part belongs to one build of torch; beside another the operators of that part are
missing, and the import fails as it describes their shapes. No network of the zoo calls them.
"""

import torch

_OPERATORS = (
    "nms", "qnms", "roi_align", "_roi_align_backward", "roi_pool", "_roi_pool_backward",
    "ps_roi_align", "_ps_roi_align_backward", "ps_roi_pool", "_ps_roi_pool_backward",
    "deform_conv2d", "_deform_conv2d_backward",
)  # fmt: skip


def declare_operators() -> None:
    """Declare, without an implementation, the operators that are not there."""
    for name in _OPERATORS:
        if not hasattr(torch.ops.torchvision, name):
            torch.library.define(f"torchvision::{name}", "(Tensor x) -> Tensor")
