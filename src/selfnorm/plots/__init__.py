"""Every figure. Figures take results, never models."""

from selfnorm.plots._dark import darken as darken
from selfnorm.plots._style import COLORS as COLORS
from selfnorm.plots._style import save as save
from selfnorm.plots._theory import gradient_sizes as gradient_sizes
from selfnorm.plots._theory import map_field as map_field
from selfnorm.plots._theory import selu_shape as selu_shape
from selfnorm.plots._theory import variance_maps as variance_maps
from selfnorm.plots._training import Curve as Curve
from selfnorm.plots._training import depth_figure as depth_figure
from selfnorm.plots._training import layers_figure as layers_figure

__all__ = [
    "COLORS",
    "Curve",
    "darken",
    "depth_figure",
    "gradient_sizes",
    "layers_figure",
    "map_field",
    "save",
    "selu_shape",
    "variance_maps",
]
