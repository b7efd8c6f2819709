"""What every test runs under."""

import os
import tempfile

import pytest
import torch
from hypothesis import settings
from threadpoolctl import threadpool_limits

from support.require import require

# Without a GPU its kernels run in Triton's interpreter; it reads this when the kernels are defined.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

# torch keeps compiled graphs by the names of operations, so code of another day, with other
# derivatives behind the same names, must not serve. The processes of one run share a folder.
if "PYTEST_XDIST_WORKER" not in os.environ:
    _compiled = tempfile.TemporaryDirectory(prefix="selfnorm-tests-", ignore_cleanup_errors=True)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = _compiled.name

# Tests run side by side, a process a core: threads within them, and in what they start, would only
# wait for each other, busily. NumPy may have been loaded by a plugin of pytest, with as many
# threads for its BLAS as there are cores.
torch.set_num_threads(1)
threadpool_limits(1)
os.environ["OMP_NUM_THREADS"] = "1"

# The same examples in every run, and no clock that a busy machine could miss.
settings.register_profile("selfnorm", derandomize=True, deadline=None)
settings.load_profile("selfnorm")


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> torch.device:
    """A processor, and a GPU if there is one; a test that asks for it runs on both."""
    if request.param == "cuda":
        require("gpu", None if torch.cuda.is_available() else "torch finds no GPU")
    return torch.device(request.param)
