from . import equinox as equinox
from . import init as init
from . import nnx as nnx
from ._audit import audit as audit
from ._functional import alpha_dropout as alpha_dropout
from ._functional import selu as selu
from ._functional import selu_alpha_dropout as selu_alpha_dropout
from ._optax import keep_orthogonal as keep_orthogonal
