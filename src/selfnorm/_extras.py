"""Packages that only some need: without one, one line says what to install."""

from collections.abc import Generator
from contextlib import contextmanager

from selfnorm.errors import MissingPackageError

EXTRAS = {
    "flint": ("python-flint", "proofs"),
    "jinja2": ("Jinja2", "pages"),
    "markupsafe": ("MarkupSafe", "pages"),
    "matplotlib": ("Matplotlib", "plots"),
    "pyarrow": ("PyArrow", "tables"),
    "rich": ("Rich", ""),
    "safetensors": ("safetensors", "tables"),
    "scipy": ("SciPy", ""),
    "sklearn": ("scikit-learn", "tables"),
    "typer": ("Typer", "cli"),
}
"""What each is called, and the extra of selfnorm that brings it; "" for selfnorm itself."""


@contextmanager
def told() -> Generator[None]:
    """Imports inside say, where a package of an extra is missing, how to get it.

    Raises:
        MissingPackageError: Instead of the `ModuleNotFoundError` of such a package.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        called, extra = EXTRAS[package]
        brings = f"pip install 'selfnorm[{extra}]'" if extra else "pip install selfnorm"
        raise MissingPackageError(
            f"This part of selfnorm needs {called}, which is not installed. {brings} brings it, "
            "'selfnorm[all]' everything.",
            name=package,
        ) from None
