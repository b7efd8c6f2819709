"""The array types of the theory."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
ArrayFunction = Callable[[FloatArray], FloatArray]
