r"""Integrals over a Gaussian's tail, computed without cancellation.

    M_k(u) = integral_0^inf v^k exp(-u v - v^2/2) dv

`M_0` is Mills' ratio. In exact arithmetic `M_1 = 1 - u M_0` and `M_2 = M_0 - u M_1`, but for large
u these subtract nearly equal numbers: `M_2` loses a factor `u^4` of precision. Their ratios
`R_k = M_k / M_(k-1)` obey `R_k = k / (u + R_(k+1))`, which, followed downward, only adds and
divides positive numbers.
"""

import numpy as np
from scipy.special import erfcx

from selfnorm.theory._types import FloatArray

_DIRECT_BELOW = 3.0  # where M_2 by subtraction still has 13 digits
_FARTHEST = 1e100  # its square is still a number; the integrals are 0 long before
_TERMS = 40  # at u = 3 the start's influence has faded to 1e-17 after 40 steps


def tail_integrals(u: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """`M_0`, `M_1` and `M_2` for `u >= 0`."""
    m0 = np.sqrt(np.pi / 2) * np.asarray(erfcx(u / np.sqrt(2)))
    near = np.minimum(u, _DIRECT_BELOW)
    near0 = np.sqrt(np.pi / 2) * np.asarray(erfcx(near / np.sqrt(2)))
    near1 = 1 - near * near0
    near2 = near0 - near * near1
    far = np.clip(u, _DIRECT_BELOW, _FARTHEST)
    ratio = (np.sqrt(far**2 + 4 * _TERMS) - far) / 2
    for k in range(_TERMS, 2, -1):
        ratio = k / (far + ratio)
    ratio2 = 2 / (far + ratio)
    ratio1 = 1 / (far + ratio2)
    is_near = u <= _DIRECT_BELOW
    return (
        m0,
        np.where(is_near, near1, m0 * ratio1),
        np.where(is_near, near2, m0 * ratio1 * ratio2),
    )
