from ._functional import alpha_dropout as alpha_dropout
from ._functional import feature_alpha_dropout as feature_alpha_dropout
from ._functional import selu as selu
from ._functional import selu_alpha_dropout as selu_alpha_dropout
from ._library import serving as serving
