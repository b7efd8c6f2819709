"""Tensors in, tensors out: SELU and alpha dropout, with derivatives of every order.

The operations are registered with PyTorch as `torch.ops.selfnorm`; the functions here check their
arguments, draw the seed and differentiate.
"""

from selfnorm import _lazy

# So that whoever imports this package can load programs that name its operations.
from selfnorm.ops import _autograd as _autograd

__getattr__, __dir__, __all__ = _lazy.attach(__name__, __file__)
