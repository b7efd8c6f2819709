"""Figures, as matplotlib `Figure`s that no window or global state belongs to."""

from selfnorm.plots._style import save as save
from selfnorm.plots._theory import gradient_sizes as gradient_sizes
from selfnorm.plots._theory import map_field as map_field
from selfnorm.plots._theory import selu_shape as selu_shape
from selfnorm.plots._theory import variance_maps as variance_maps

__all__ = ["gradient_sizes", "map_field", "save", "selu_shape", "variance_maps"]
