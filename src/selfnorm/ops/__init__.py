"""Tensors in, tensors out: SELU and alpha dropout, with derivatives of every order.

The operations are registered with PyTorch as `torch.ops.selfnorm`; the functions here check their
arguments, draw the seed and differentiate.
"""

from selfnorm.ops._functional import alpha_dropout as alpha_dropout
from selfnorm.ops._functional import feature_alpha_dropout as feature_alpha_dropout
from selfnorm.ops._functional import selu as selu
from selfnorm.ops._functional import selu_alpha_dropout as selu_alpha_dropout
from selfnorm.ops._library import serving as serving

__all__ = ["alpha_dropout", "feature_alpha_dropout", "selu", "selu_alpha_dropout", "serving"]
