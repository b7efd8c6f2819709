"""Every tolerance of the tests, each with its reason."""

import torch

# One rounding each for expm1 (below one ulp), the product of the constants and the last product.
SELU_ULPS = {torch.float64: 2.0, torch.float32: 2.0}
# Half precision rounds once; torch's own kernel is the yardstick, and may be doubled.
RIVAL_FACTOR = 2.0
# Two implementations, or two orders of the same few operations on values of size up to 2**3.
SAME_UP_TO_ROUNDING = {
    dtype: 16 * torch.finfo(dtype).eps for dtype in (torch.float64, torch.float32)
}
SAME_UP_TO_ROUNDING |= {
    dtype: 4 * torch.finfo(dtype).eps for dtype in (torch.bfloat16, torch.float16)
}
# Mean and variance over a column of float32 features, each rounded once (values up to 2**4).
MATRIX_MOMENTS = 16 * torch.finfo(torch.float32).eps
