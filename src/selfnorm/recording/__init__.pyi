from ._layer import Features as Features
from ._layer import Histogram as Histogram
from ._layer import Layer as Layer
from ._layer import Weights as Weights
from ._observation import Observation as Observation
from ._recording import Recording as Recording
