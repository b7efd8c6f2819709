"""Where the command line writes: results to stdout, progress and problems to stderr."""

from rich.console import Console

output = Console(highlight=False)
problems = Console(stderr=True, highlight=False)
