"""Fresh processes end, and the next is served."""

import pytest

from support import fresh


def test_a_process_that_waits_for_ever_is_ended_and_says_where(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits = "import os\nours, theirs = os.pipe()\nos.read(ours, 1)"
    with monkeypatch.context() as patch:
        patch.setattr(fresh, "_LONGEST", 1)
        with pytest.raises(AssertionError, match=r'took too long: (?s:.*)"<string>", line 3'):
            fresh.run_fresh(waits)
    assert fresh.run_fresh("print('served')") == "served\n"
