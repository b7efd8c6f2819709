"""What every test runs under."""

import torch

# Tests run side by side, a process a core: threads within them would only wait for each other.
torch.set_num_threads(1)
