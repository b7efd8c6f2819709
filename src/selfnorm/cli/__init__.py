"""The command line: one file a command, no logic of its own.

Heavy imports (torch, scikit-learn, pyarrow, matplotlib) stand inside the commands, so that
`selfnorm --help` answers at once.
"""

from selfnorm.cli._app import main as main

__all__ = ["main"]
