"""Every figure. Figures take results, never models."""

from selfnorm.plots._style import save as save
from selfnorm.plots._training import Curve as Curve
from selfnorm.plots._training import depth_figure as depth_figure
from selfnorm.plots._training import training_figure as training_figure

__all__ = ["Curve", "depth_figure", "save", "training_figure"]
