"""The theory of self-normalizing networks: NumPy and SciPy only, no torch."""

from selfnorm.theory._constants import SELUConstants as SELUConstants
from selfnorm.theory._constants import selu_constants as selu_constants

__all__ = ["SELUConstants", "selu_constants"]
