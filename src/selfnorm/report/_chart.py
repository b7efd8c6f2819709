"""What a chart shows: axes and marks. Who draws it, in SVG or by matplotlib, decides nothing more.

Values beyond an axis are drawn at its end.
"""

from dataclasses import dataclass
from typing import Literal

from selfnorm.report._axis import Axis

Point = tuple[float, float]


@dataclass(frozen=True)
class Band:
    """A range of y over the whole width.

    Attributes:
        low: Where it begins.
        high: Where it ends.
        label: Its words in the legend; none if empty.
        note: What a pointer on it is told.
    """

    low: float
    high: float
    label: str = ""
    note: str = ""


@dataclass(frozen=True)
class Line:
    """A curve through points.

    Attributes:
        points: In order.
        style: What it is: measured, what theory expects (dashed), or one of many, by its shade.
        label: As in `Band`.
        shade: Place among many lines, from 0 to 1.
    """

    points: tuple[Point, ...]
    style: Literal["measured", "theory", "shaded"]
    label: str = ""
    shade: float = 0.0


@dataclass(frozen=True)
class Dots:
    """Points, each for itself.

    Attributes:
        points: Where.
        radius: Of a point, where the whole chart is 420 wide.
        hollow: Whether a point is a ring, for each; all are filled if empty.
        notes: What a pointer on a point is told, for each; nothing if empty.
        label: As in `Band`.
        faint: Whether they may lie on each other, and are seen through.
    """

    points: tuple[Point, ...]
    radius: float
    hollow: tuple[bool, ...] = ()
    notes: tuple[str, ...] = ()
    label: str = ""
    faint: bool = False


@dataclass(frozen=True)
class Box:
    """A rectangle: its ranges of x and y; label and note as in `Band`."""

    x: tuple[float, float]
    y: tuple[float, float]
    label: str = ""
    note: str = ""


@dataclass(frozen=True)
class Tiles:
    """Unit squares around points of whole numbers, each as strong as its share.

    Attributes:
        points: Their centers.
        shares: How strong each is, from 0 to 1.
        notes: What a pointer on each is told; nothing if empty.
        label: As in `Band`.
    """

    points: tuple[Point, ...]
    shares: tuple[float, ...]
    notes: tuple[str, ...] = ()
    label: str = ""


Mark = Band | Line | Dots | Box | Tiles


@dataclass(frozen=True)
class Scale:
    """What the shades of lines stand for: the first is `low`, the last `high`."""

    label: str
    low: int
    high: int


@dataclass(frozen=True)
class Chart:
    """A titled pair of axes, the marks on it from back to front, and a scale of shades if any."""

    title: str
    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    scale: Scale | None = None

    @property
    def legend(self) -> tuple[Mark, ...]:
        """The marks that have a label, from front to back."""
        return tuple(mark for mark in reversed(self.marks) if mark.label)

    @property
    def empty(self) -> bool:
        """Whether nothing was seen: there are no points."""
        return not any(mark.points for mark in self.marks if isinstance(mark, Line | Dots | Tiles))
