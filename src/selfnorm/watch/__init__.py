"""A model watched while it runs: every layer of one pass, or of every n-th training step."""

from selfnorm.watch._lightning import lightning_callback as lightning_callback
from selfnorm.watch._monitor import Monitor as Monitor
from selfnorm.watch._monitor import monitor as monitor
from selfnorm.watch._observe import observe as observe
from selfnorm.watch._record import record as record
from selfnorm.watch._sources import find_inputs as find_inputs
from selfnorm.watch._sources import find_model as find_model

__all__ = ["Monitor", "lightning_callback", "monitor", "observe"]
