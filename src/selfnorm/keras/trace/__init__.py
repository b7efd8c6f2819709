"""A Keras model as the calls that it makes, evaluated with a record of each layer."""

from selfnorm.keras.trace._calls import calls_of as calls_of
from selfnorm.keras.trace._plan import Place as Place
from selfnorm.keras.trace._plan import Plan as Plan
from selfnorm.keras.trace._plan import plan as plan
from selfnorm.keras.trace._record import record as record
from selfnorm.keras.trace._record import unseen as unseen

__all__ = ["Place", "Plan", "calls_of", "plan", "record", "unseen"]
