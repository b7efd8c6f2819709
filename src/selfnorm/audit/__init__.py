"""Is this network self-normalizing, and why not?

The package is the function, too: `selfnorm.audit(model, inputs)`.
"""

from selfnorm._callable import make_callable
from selfnorm.audit._audit import audit as audit
from selfnorm.audit._finding import Finding as Finding
from selfnorm.audit._finding import Severity as Severity
from selfnorm.audit._layer import Features as Features
from selfnorm.audit._layer import Histogram as Histogram
from selfnorm.audit._layer import Layer as Layer
from selfnorm.audit._layer import Weights as Weights
from selfnorm.audit._lightning import lightning_callback as lightning_callback
from selfnorm.audit._monitor import Monitor as Monitor
from selfnorm.audit._monitor import Observation as Observation
from selfnorm.audit._monitor import Writer as Writer
from selfnorm.audit._monitor import monitor as monitor
from selfnorm.audit._record import LayerMoments as LayerMoments
from selfnorm.audit._record import record_moments as record_moments
from selfnorm.audit._recording import Recording as Recording
from selfnorm.audit._report import Report as Report
from selfnorm.audit._rules import forget as forget
from selfnorm.audit._rules import rule as rule
from selfnorm.audit._rules import rule_names as rule_names
from selfnorm.audit._sources import find_inputs as find_inputs
from selfnorm.audit._sources import find_model as find_model

__all__ = [
    "Features",
    "Finding",
    "Histogram",
    "Layer",
    "LayerMoments",
    "Monitor",
    "Observation",
    "Recording",
    "Report",
    "Severity",
    "Weights",
    "Writer",
    "audit",
    "find_inputs",
    "find_model",
    "forget",
    "lightning_callback",
    "monitor",
    "record_moments",
    "rule",
    "rule_names",
]

make_callable(__name__, audit)
