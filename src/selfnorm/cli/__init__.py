"""The command line: one file a command, no logic of its own.

Heavy imports (torch, scikit-learn, pyarrow, matplotlib) stand inside the commands, so that
`selfnorm --help` answers at once.
"""

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    from selfnorm.cli._interrupt import exit_on_ctrl_c

    exit_on_ctrl_c()

    from selfnorm.cli._app import run

    run()
