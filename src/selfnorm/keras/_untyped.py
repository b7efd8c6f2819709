"""Keras as Any: it has no types, and what checkers infer of its source is often None.

All files here import it from this one, so that none has to switch rules of the checker off.
"""

from typing import Any

import keras as _keras

keras: Any = _keras
