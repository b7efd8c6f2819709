from . import errors as errors
from . import init as init
from . import theory as theory

__version__: str
