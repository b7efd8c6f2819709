"""Warnings are errors in a program of its own too: pyproject.toml's filters as Python's options."""

_NOT_OURS = ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning")
STRICT = [
    *("-W", "error"),
    *(f"-Wignore::{category}" for category in _NOT_OURS),
    *(f"-Werror::{category}:__main__" for category in _NOT_OURS),
]
"""Deprecations in other packages pass; these options know modules by whole names only."""
