"""Keras for tests and doctests: its backend is the process's; without it its room is left out."""

import os
from importlib.util import find_spec

os.environ.setdefault("KERAS_BACKEND", "torch")
collect_ignore_glob = [] if find_spec("keras") else ["src/selfnorm/keras/*"]
