"""What was seen of a model's layers: figures alone, in NumPy arrays.

A rule of your own, `selfnorm.auditing.rule`, gets a `Recording`.
"""

from selfnorm.recording._layer import INPUT as INPUT
from selfnorm.recording._layer import Features as Features
from selfnorm.recording._layer import Histogram as Histogram
from selfnorm.recording._layer import Layer as Layer
from selfnorm.recording._layer import Weights as Weights
from selfnorm.recording._observation import EVERY as EVERY
from selfnorm.recording._observation import Observation as Observation
from selfnorm.recording._quiet import quiet as quiet
from selfnorm.recording._recording import WEIGHTED as WEIGHTED
from selfnorm.recording._recording import Recording as Recording

__all__ = ["Features", "Histogram", "Layer", "Observation", "Recording", "Weights"]
