"""The command line: one file a command, no logic of its own.

Heavy imports (torch, scikit-learn, pyarrow, matplotlib) stand inside the commands, so that
`selfnorm --help` answers at once.
"""

__all__ = ["main"]

_MISTAKE = 2  # the exit code of a user's mistake


def main() -> None:
    """Run the command line."""
    from selfnorm.cli._interrupt import exit_on_ctrl_c

    exit_on_ctrl_c()

    import os
    import sys

    from selfnorm import _extras
    from selfnorm.errors import MissingPackageError

    if sys.argv[1:2] == ["predict"]:
        from selfnorm.cli._light import without_pandas

        without_pandas()
    # Arrow's usual pool keeps what columns took, which a fit's matrices do not use again: of a
    # table of 200 MB it holds 60 MB more at the peak.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    try:
        with _extras.told():
            from selfnorm.cli._app import run
    except MissingPackageError as error:
        sys.exit(_refused(error))
    try:
        run()
    except SystemExit as ended:
        if ended.code == _MISTAKE:
            _leave()
        raise


def _refused(error: Exception) -> int:
    """Say what is missing before there is anything to say it with; the exit code."""
    import sys

    sys.stderr.write(f"Error: {error}\n")
    return _MISTAKE


def _leave() -> None:
    """End at once: a process of which threads still read a table may end by an abort instead."""
    import os
    import sys
    from contextlib import suppress

    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(_MISTAKE)
