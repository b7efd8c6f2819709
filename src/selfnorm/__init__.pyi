from . import errors as errors
from . import theory as theory

__version__: str
