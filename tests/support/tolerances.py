"""Every tolerance of the tests, each with its reason."""

import torch

# One rounding each for expm1 (below one ulp), the product of the constants and the last product.
SELU_ULPS = {torch.float64: 2.0, torch.float32: 2.0}
# What the kernels promise, forward and backward; every float32 is checked by benchmarks/accuracy.
KERNEL_ULPS = {torch.float64: 2.0, torch.float32: 1.0}
# The derivative of plain SELU is within a unit in every dtype.
SLOPE_ULPS = 1.0
# A form of SELU: its factors are rounded (half a unit each, which may count twice across a power of
# two), a product or SELU itself is within one, and the sum is rounded.
SHAPED_ULPS = 3.5
# Half precision: half a unit, and 3.5 of float32's, of which float16's has 2**13.
HALF_ULPS = 0.5005
# Half precision rounds once; torch's own kernel is the yardstick, and may be doubled.
RIVAL_FACTOR = 2.0
# Two implementations, or two orders of the same few operations on values of size up to 2**3.
SAME_UP_TO_ROUNDING = {
    dtype: 16 * torch.finfo(dtype).eps for dtype in (torch.float64, torch.float32)
}
SAME_UP_TO_ROUNDING |= {
    dtype: 4 * torch.finfo(dtype).eps for dtype in (torch.bfloat16, torch.float16)
}
# The schedule multiplies its rate step by step; a rounding each, in units of the first rate.
LEARNING_RATE = 1e-14
# A norm of 1, of gradients in float32: torch divides by norm + 1e-6, and a few roundings.
CLIPPED = 4e-6
# Mean and variance over a column of float32 features, each rounded once (values up to 2**4).
MATRIX_MOMENTS = 16 * torch.finfo(torch.float32).eps
# Moments of float32 values that are exact, or of one rounded function of them.
EXACT_MOMENTS = 16 * torch.finfo(torch.float32).eps
# A folded norm scales each weight once more; sums of some hundred terms, relative to the largest.
FOLDED = {torch.float32: 1e-5, torch.float64: 1e-13}
# A scaled weight is rounded once more, and ELU in torch's kernel; relative to the largest output.
DEPLOYED = {torch.float32: 1e-6, torch.float64: 1e-12}
# Another runtime's float32 kernels, on networks of a few layers; what ONNX's node tests allow, too.
EXPORTED = 1e-5
# 8 bits over a range of 2**3: half a step, 1 / 64, for weights and for activations, in each of
# three layers, whose sums of a few such errors are up to twice one.
QUANTIZED = 0.2
# What moments() promises, against 50 digits and more.
MOMENTS_RELATIVE = 1e-12
# A few dozen roundings of closed forms of size 1, two of which may cancel to a tenth.
CLOSED_FORM = 1e-13
# The square root of some hundred roundings, or a difference over a step of 1e-9.
ROOT_OF_ROUNDINGS = 1e-6
# A distribution on a grid of steps of a thousandth, to a million deviations out.
FINE_GRID = 1e-5
# Adaptive quadrature of E f'^2 uses slopes of interpolating polynomials, which cost digits.
SLOPES_RELATIVE = 1e-11
# Gauss-Hermite quadrature meets SELU's kink and converges only like 1 / nodes; at 150 nodes the
# closed forms are within this.
HERMITE_ACROSS_A_KINK = 2e-3
# Where a slope grows like |z|^(b - 1), what the last panel holds is extrapolated, its distance
# known to a factor of two: of |z|^0.52 that panel holds a third.
STEEP = 5e-3
# A kink that nobody tells of may stay where it bends f by 1e-9 of its size from a panel's
# polynomial: as far from the panel's end as that, times two panels and a few kinks.
UNTOLD_SLOPES = 5e-8
# mpmath's finite differences at 60 digits with step 1e-20 leave 1e-20; float64 leaves this.
DERIVATIVE_RELATIVE = 1e-12
# A fixed point's residual may be a few hundred roundings; the map's slope below 1 magnifies it
# by at most 1 / (1 - slope), here below 100.
FIXED_POINT = 1e-11
# Panels over the factor that inputs share agree to 1e-11 of each integral; a variance is a
# difference of two of them, at a few times its size.
COMMON_FACTOR = 1e-9
# A matrix of independent units has finite-width corrections of order depth / width to its
# variance, here 10 / 1024, and a spread of the same order; of 300 orthogonal layers of 256, shaped
# for their depth, variance and gradient are within 3 % over seeds.
FINITE_WIDTH = 0.1
# The mean of at most some 40,000 numbers of [0, 1], each off by a rounding; NumPy sums in pairs.
MEAN_OF_EXACT = 1e-14
# Some thousand rows by steps of log odds beside exact ranks; and differences of numbers of a
# million, which lose six of 16 digits.
RANKED_IN_STEPS = 1e-4
# Newton-Schulz ends at 1e-6; float32 sums of some dozen products add a few roundings of 6e-8.
ORTHOGONAL = 4e-6
# JAX takes the derivative of expm1 from its output, which is -1 from -17 down: 0. Of a unit with a
# bias of -60 that is off by SELU's true slope, 1.76 exp(-56) four deviations up, times gradients
# below 1. torch computes exp again.
DEAD_SLOPES = 1e-24
# A page's positions have one decimal, and so do those of the two ticks that they are held against.
PIXELS = 0.2
# A sparkline's bars are written with one decimal.
BARS = 0.05
# Seventeen colors, with straight lines between them, for the 256 of a color map; of 1.
SHADES = 0.04


def printed(decimals: int) -> float:
    """Half a unit of the last decimal that a figure is quoted with."""
    return 0.5 * 10.0**-decimals


# The same sums in another order, and of equal rows an angle of 1e-8 by rounding; of the largest.
WITHOUT_TORCH = 1e-6

# Sums of float32 gradients over four processes are rounded in another order than in one: some ulp a
# step, and as many steps as a test has. Measured: 5e-7 after 30 steps.
PROCESSES = 1e-5

# Outputs and metrics of predictions in float32 beside those in float64, relative.
IN_FLOAT32 = 1e-5

# The kernel of infinitely wide networks as a line and a polynomial of degree 10, beside its table,
# of 1: measured 2e-9.
KERNEL_PARTS = 1e-8
