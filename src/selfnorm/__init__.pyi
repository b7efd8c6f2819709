from . import errors as errors
from . import init as init
from . import nn as nn
from . import ops as ops
from . import theory as theory
from .ops import alpha_dropout as alpha_dropout
from .ops import selu as selu
from .ops import selu_alpha_dropout as selu_alpha_dropout

__version__: str
