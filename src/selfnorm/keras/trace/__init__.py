"""A Keras model as the calls that it makes, evaluated with a record of each layer."""

from selfnorm.keras.trace._plan import Plan as Plan
from selfnorm.keras.trace._plan import plan as plan
from selfnorm.keras.trace._record import record as record

__all__ = ["Plan", "plan", "record"]
