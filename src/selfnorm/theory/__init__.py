"""The theory of self-normalizing networks: NumPy and SciPy only, no torch."""

from selfnorm.theory._constants import SELUConstants as SELUConstants
from selfnorm.theory._constants import selu_constants as selu_constants
from selfnorm.theory._dropout import AlphaDropoutAffine as AlphaDropoutAffine
from selfnorm.theory._dropout import alpha_dropout_affine as alpha_dropout_affine

__all__ = ["AlphaDropoutAffine", "SELUConstants", "alpha_dropout_affine", "selu_constants"]
