from . import auditing as auditing
from . import converting as converting
from . import errors as errors
from . import init as init
from . import jax as jax
from . import keras as keras
from . import nn as nn
from . import ops as ops
from . import optim as optim
from . import plots as plots
from . import recording as recording
from . import tabular as tabular
from . import testing as testing
from . import theory as theory
from . import training as training
from . import watch as watch
from .auditing import audit as audit
from .converting import convert as convert
from .converting import deploy as deploy
from .ops import alpha_dropout as alpha_dropout
from .ops import selu as selu
from .ops import selu_alpha_dropout as selu_alpha_dropout
from .tabular import SelfNormClassifier as SelfNormClassifier
from .tabular import SelfNormRegressor as SelfNormRegressor
from .watch import monitor as monitor

__version__: str
