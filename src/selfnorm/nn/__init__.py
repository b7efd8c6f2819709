"""Modules for self-normalizing networks."""

from selfnorm.nn._activations import SELU as SELU
from selfnorm.nn._activations import SELUAlphaDropout as SELUAlphaDropout
from selfnorm.nn._dropout import AlphaDropout as AlphaDropout
from selfnorm.nn._dropout import FeatureAlphaDropout as FeatureAlphaDropout
from selfnorm.nn._mlp import MLP as MLP
from selfnorm.nn._mlp import Shape as Shape
from selfnorm.nn._mlp import hidden_widths as hidden_widths

__all__ = [
    "MLP",
    "SELU",
    "AlphaDropout",
    "FeatureAlphaDropout",
    "SELUAlphaDropout",
    "Shape",
    "hidden_widths",
]
