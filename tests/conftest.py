"""What every test runs under."""

import os

import torch
from hypothesis import settings

# Without a GPU its kernels run in Triton's interpreter; it reads this when the kernels are defined.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

# Tests run side by side, a process a core: threads within them would only wait for each other.
torch.set_num_threads(1)

# The same examples in every run, and no clock that a busy machine could miss.
settings.register_profile("selfnorm", derandomize=True, deadline=None)
settings.load_profile("selfnorm")
