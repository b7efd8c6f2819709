"""One look for all figures, and how they reach the disk."""

import os
import tempfile
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from selfnorm.errors import ArgumentError

# Okabe and Ito's palette, which the color-blind can tell apart; ordered for white paper.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GRAY = "#6E6E6E"
_FORMATS = ("png", "svg", "pdf")
_RESOLUTION = 160  # dots per inch: sharp on dense screens, about 50 KB a figure


def new_figure(width: float = 6.4, height: float = 4.0) -> tuple[Figure, Axes]:
    """A white figure of a size in inches, with one pair of axes."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure whole or not at all: to a temporary name beside its own, then renamed.

    Args:
        figure: The figure.
        path: Where to; the name's ending chooses among PNG, SVG and PDF.

    Returns:
        The path.

    Raises:
        ArgumentError: If the ending is none of these, or the file cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     save(Figure(), f"{folder}/empty.svg").name
        'empty.svg'
    """
    path = Path(path)
    kind = path.suffix[1:].lower()
    if kind not in _FORMATS:
        msg = f"A figure's name must end in .png, .svg or .pdf; got {path.name!r}. Rename it."
        raise ArgumentError(msg)
    try:
        handle, temporary = tempfile.mkstemp(suffix=path.suffix, dir=path.parent)
        os.close(handle)
        try:
            metadata = {"Software": None} if kind == "png" else {"CreationDate": None}
            metadata = {"Date": None} if kind == "svg" else metadata
            with mpl.rc_context({"svg.hashsalt": "selfnorm"}):
                figure.savefig(temporary, format=kind, dpi=_RESOLUTION, metadata=metadata)
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except OSError as problem:
        msg = f"A figure needs a folder that can be written; {path} cannot: {problem.strerror}."
        raise ArgumentError(msg) from problem
    return path
