"""How every figure looks, and how it is saved."""

import io
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image  # which Matplotlib brings along

from selfnorm._files import write_file
from selfnorm._parameters import Whole
from selfnorm.errors import ArgumentError

# Okabe and Ito's colors, which readers with any color vision tell apart.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
BAND = "#0072b21f"
PAPER, INK, DIM, GRID, ZONE = "#ffffff", "#000000", "#6e6e6e", "#dddddd", "#eeeeee"
# What each format calls its record of when or by what it was written.
_DATES = {"png": "Software", "svg": "Date", "pdf": "CreationDate"}


def figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches, on white, without global state."""
    return Figure(figsize=(width, height), dpi=150, layout="constrained", facecolor=PAPER)


def plain_axes(axes: Axes, *, title: str, x: str, y: str) -> None:
    """Title, labels and a light grid; no frame above and on the right."""
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", parse_math=False)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def save(drawn: Figure, path: str | Path, *, colors: int | None = None) -> None:
    """Save a figure in the format of the path's ending (.png, .svg, .pdf); written whole.

    The file holds no date, so that the same figure is the same file.

    Args:
        drawn: The figure.
        path: Where to.
        colors: Of a PNG, at most so many, from 2 to 256: 64 are hard to tell from all, in a third
            of the size. As it is if None.

    Raises:
        ArgumentError: The ending is none of these, there is no such folder, or colors are asked
            for that a PNG cannot have, or of another format.
        OSError: The folder cannot be written to.
    """
    path = Path(path)
    check_path(path)
    kind = _ending(path)
    if colors is not None and (kind != "png" or not Whole(2, 257).holds(colors)):
        msg = (
            "Only a PNG is saved in a number of colors, of 2 to 256; "
            f"{colors!r} came for {path.name!r}. Leave colors out, or change them."
        )
        raise ArgumentError(msg)
    content = rendered(drawn, kind)
    write_file(path, content if colors is None else _in_colors(content, colors))


def _in_colors(png: bytes, colors: int) -> bytes:
    """The same picture with a palette, without dither, as areas of one color pack better.

    Median cut alone merges thin lines of two colors where a picture has many grays.
    """
    content = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        few = picture.convert("RGB").quantize(colors, kmeans=4, dither=Image.Dither.NONE)
        few.save(content, format="png", optimize=True, dpi=picture.info.get("dpi"))
    return content.getvalue()


def rendered(drawn: Figure, kind: str) -> bytes:
    """What a file of that kind (png, svg, pdf) holds."""
    content = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "selfnorm"}):
        drawn.savefig(content, format=kind, metadata={_DATES[kind]: None})
    return content.getvalue()


def check_path(path: Path) -> None:
    """Raise if a figure cannot be saved there, to know it before the work.

    Raises:
        ArgumentError: The ending is not .png, .svg or .pdf, or there is no such folder.
    """
    if _ending(path) not in _DATES:
        msg = f"A figure's name must end in .png, .svg or .pdf; got {path.name!r}. Rename it."
        raise ArgumentError(msg)
    if not path.parent.is_dir():
        msg = f"A figure needs a folder; there is no '{path.parent}'. Make it, or name another."
        raise ArgumentError(msg)


def _ending(path: Path) -> str:
    return path.suffix.removeprefix(".").lower()
