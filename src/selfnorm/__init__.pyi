from . import errors as errors
from . import init as init
from . import nn as nn
from . import ops as ops
from . import plots as plots
from . import tabular as tabular
from . import theory as theory
from .audit import audit as audit
from .audit import monitor as monitor
from .convert import convert as convert
from .ops import alpha_dropout as alpha_dropout
from .ops import selu as selu
from .ops import selu_alpha_dropout as selu_alpha_dropout
from .tabular import SelfNormClassifier as SelfNormClassifier
from .tabular import SelfNormRegressor as SelfNormRegressor

__version__: str
