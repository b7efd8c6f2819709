from . import init as init
from ._functional import alpha_dropout as alpha_dropout
from ._functional import selu as selu
from ._functional import selu_alpha_dropout as selu_alpha_dropout
