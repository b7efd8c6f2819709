"""Modules for self-normalizing networks."""

from selfnorm.nn._activations import SELU as SELU
from selfnorm.nn._activations import SELUAlphaDropout as SELUAlphaDropout
from selfnorm.nn._dropout import AlphaDropout as AlphaDropout
from selfnorm.nn._dropout import FeatureAlphaDropout as FeatureAlphaDropout

__all__ = ["SELU", "AlphaDropout", "FeatureAlphaDropout", "SELUAlphaDropout"]
