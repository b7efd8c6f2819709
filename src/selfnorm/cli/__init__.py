"""The command line: one file a command, no logic of its own.

Heavy imports (torch, scikit-learn, pyarrow, matplotlib) stand inside the commands, so that
`selfnorm --help` answers at once.
"""

__all__ = ["main"]


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
    run()


def _refused(error: Exception) -> int:
    """Say what is missing before there is anything to say it with; the exit code."""
    import sys

    sys.stderr.write(f"Error: {error}\n")
    return 2
