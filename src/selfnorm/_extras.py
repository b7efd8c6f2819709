"""Packages that only some need: without one, one line says what to install."""

from collections.abc import Generator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

from selfnorm.errors import MissingPackageError

EXTRAS = {
    "flint": ("python-flint", "proofs"),
    "jax": ("JAX", "jax"),
    "jinja2": ("Jinja2", "pages"),
    "joblib": ("joblib", "tables"),
    "keras": ("Keras", "keras"),
    "markupsafe": ("MarkupSafe", "pages"),
    "matplotlib": ("Matplotlib", "plots"),
    "onnx": ("ONNX", "onnx"),
    "optax": ("Optax", "jax"),
    "pyarrow": ("PyArrow", "tables"),
    "python_calamine": ("python-calamine", "excel"),
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


def check_version(package: str, least: tuple[int, int]) -> None:
    """Raise for an installed package that is too old; whether it is there `told` says.

    Raises:
        MissingPackageError: It is older than that.
    """
    try:
        found = version(package)
    except PackageNotFoundError:
        return
    if tuple(int(part) for part in found.split(".")[:2]) < least:
        called, extra = EXTRAS[package]
        raise MissingPackageError(
            f"This part of selfnorm needs {called} {least[0]}.{least[1]} or later; {found} is "
            f"installed. pip install -U 'selfnorm[{extra}]' brings it.",
            name=package,
        )
