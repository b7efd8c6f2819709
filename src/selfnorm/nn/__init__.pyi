from ._activations import SELU as SELU
from ._activations import SELUAlphaDropout as SELUAlphaDropout
from ._dropout import AlphaDropout as AlphaDropout
from ._dropout import FeatureAlphaDropout as FeatureAlphaDropout
from ._mlp import MLP as MLP
from ._widths import Shape as Shape
from ._widths import hidden_widths as hidden_widths
