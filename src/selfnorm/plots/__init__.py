"""Every figure. Figures take results, never models."""

from selfnorm.plots._audit import Audited as Audited
from selfnorm.plots._audit import plot_audit as plot_audit
from selfnorm.plots._monitor import Observed as Observed
from selfnorm.plots._monitor import plot_monitor as plot_monitor
from selfnorm.plots._style import check_path as check_path
from selfnorm.plots._style import save as save
from selfnorm.plots._theory import gradient_sizes as gradient_sizes
from selfnorm.plots._theory import map_field as map_field
from selfnorm.plots._theory import selu_shape as selu_shape
from selfnorm.plots._theory import variance_maps as variance_maps
from selfnorm.plots._training import Curve as Curve
from selfnorm.plots._training import depth_figure as depth_figure
from selfnorm.plots._training import training_figure as training_figure

__all__ = [
    "Audited",
    "Curve",
    "Observed",
    "check_path",
    "depth_figure",
    "gradient_sizes",
    "map_field",
    "plot_audit",
    "plot_monitor",
    "save",
    "selu_shape",
    "training_figure",
    "variance_maps",
]
