"""Orthogonal matrices at random: no direction more likely than another (Haar's measure).

The QR decomposition of a normal matrix, with R's diagonal made positive (Mezzadri 2007, *How to
generate random matrices from the classical compact groups*, Notices of the AMS 54, section 5).
"""

import torch
from torch import Tensor


def orthogonal(normal: Tensor) -> Tensor:
    """Matrices `(..., m, n)` whose rows are orthonormal, or whose columns are if m > n.

    Args:
        normal: Independent standard normal numbers, `(..., m, n)`, none of the sizes 0.
    """
    wide = normal.shape[-2] < normal.shape[-1]
    q, r = torch.linalg.qr(normal.mT if wide else normal)
    # Householder's reflections choose the signs of R; only with a rule for these is Q unique, and
    # only then is its distribution that of `normal`, which no rotation changes.
    q *= torch.where(r.diagonal(dim1=-2, dim2=-1) < 0.0, -1.0, 1.0).to(q.dtype).unsqueeze(-2)
    return q.mT if wide else q
