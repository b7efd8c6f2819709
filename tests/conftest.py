"""What every test runs under."""

import torch
from hypothesis import settings

# Tests run side by side, a process a core: threads within them would only wait for each other.
torch.set_num_threads(1)

# The same examples in every run, and no clock that a busy machine could miss.
settings.register_profile("selfnorm", derandomize=True, deadline=None)
settings.load_profile("selfnorm")
