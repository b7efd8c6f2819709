"""The figures of a training hold what they were given."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from selfnorm.errors import ArgumentError
from selfnorm.plots import COLORS, Curve, darken, depth_figure, layers_figure, save
from selfnorm.plots._style import check_path
from selfnorm.plots._training import training_figure
from selfnorm.theory import THEOREM_1
from support.drawn import ends
from support.tolerances import MOMENTS_RELATIVE

CURVES = [
    Curve("one", [1.0, 1.1, 0.9], [2.0, 3.0, 4.0], 0.9),
    Curve("two", [1.0, 1e-9, 0.0], [np.inf, np.nan, 1e30], 0.1),
]


def test_the_depth_figure_draws_every_network() -> None:
    figure = depth_figure(CURVES, title="title", score="accuracy")
    before, after, bars = figure.axes
    assert [line.get_label() for line in before.lines] == ["one", "two"]
    np.testing.assert_array_equal(before.lines[0].get_ydata(), CURVES[0].before)
    np.testing.assert_array_equal(after.lines[0].get_ydata(), CURVES[0].after)
    assert before.get_yscale() == "log"
    assert (before.get_title(loc="left"), after.get_title(loc="left")) == (
        *("Variance at the start", "Variance after training"),
    )
    assert [text.get_text() for text in figure.texts] == ["title"]
    assert bars.get_title(loc="left") == "accuracy"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        *("one", "two", "theorem 1's box"),
    ]


def test_losses_have_a_panel_and_depths_a_common_axis() -> None:
    curves = [
        Curve(f"net {n}", [1.0] * (4 + n), [2.0] * (4 + n), 0.5, [1.0 / n, 0.5])
        for n in range(1, 9)
    ]
    figure = depth_figure(curves, title="", score="")
    before, after, losses, bars = figure.axes
    assert [list(line.get_ydata()) for line in losses.lines] == [curve.losses for curve in curves]
    assert [list(line.get_xdata()) for line in losses.lines] == [[1, 2]] * 8
    for axes in (before, after):
        assert axes.get_xlabel() == "share of the depth"
        assert [line.get_xdata()[-1] for line in axes.lines] == [1.0] * 8
        assert axes.lines[0].get_xdata()[0] == 0.2
    looks = {(line.get_color(), line.get_linestyle()) for line in before.lines}
    assert len(looks) == 8, "no two networks look alike"
    assert len(bars.patches) == 8


def test_the_length_of_a_bar_is_the_score() -> None:
    bars = depth_figure(CURVES, title="", score="").axes[2]
    assert [bar.get_x() for bar in bars.patches] == [0, 0]
    assert [bar.get_width() for bar in bars.patches] == [0.9, 0.1]
    first, second = (bar.get_y() for bar in bars.patches)
    assert first > second  # from above, as in the legend
    texts = [(text.get_text().strip(), text.get_position()[0]) for text in bars.texts]
    assert texts == [("one", 0), ("0.9", 0.9), ("two", 0), ("0.1", 0.1)]
    assert bars.get_xlim() == (0, pytest.approx(1.2 * 0.9))


def test_theorem_1s_band_is_its_range_and_in_sight() -> None:
    for axes in depth_figure(CURVES, title="", score="").axes[:2]:
        (band,) = axes.patches
        np.testing.assert_allclose(ends(band)[:, 1], THEOREM_1.variance, rtol=MOMENTS_RELATIVE)
        low, high = axes.get_ylim()
        assert low < 0.3
        assert high >= 4


def test_values_beyond_the_axis_are_drawn_at_its_end() -> None:
    after = depth_figure(CURVES, title="", score="").axes[1]
    assert np.isfinite(after.lines[1].get_ydata()).all()
    assert after.lines[1].get_ydata().max() == 1e6


def test_layers_stand_beside_free_panels_of_the_same_colors() -> None:
    figure, panels = layers_figure(
        {"one": [1.0, 1.1], "two": [0.5, 9.0]}, title="t", panels=["a", "b"]
    )
    *free, layers = figure.axes
    assert free == panels
    assert [axes.get_title(loc="left") for axes in free] == ["a", "b"]
    assert [list(line.get_ydata()) for line in layers.lines] == [[1.0, 1.1], [0.5, 9.0]]
    for panel in panels:
        drawn = panel.plot([1, 2]) + panel.plot([2, 1])
        assert [line.get_color() for line in drawn] == [line.get_color() for line in layers.lines]
    darken(figure)
    for line in (line for axes in figure.axes for line in axes.lines):
        assert to_hex(line.get_color()) not in COLORS
    with pytest.raises(ArgumentError, match="beside one panel or more; 0 and 1 came"):
        layers_figure({}, title="t", panels=["a"])


@pytest.mark.parametrize("validation", [[0.5, 0.4], [np.nan, np.nan]])
def test_the_training_figure_marks_the_epoch_that_was_kept(validation: list[float]) -> None:
    figure = training_figure(
        [1.0, 1.0], [1.0, 2.0], loss=[1.0, 0.5], validation_loss=validation, best=2, title="t"
    )
    layers, epochs = figure.axes
    assert [list(line.get_ydata()) for line in layers.lines] == [[1.0, 1.0], [1.0, 2.0]]
    assert list(epochs.lines[0].get_xydata().ravel()) == [1, 1.0, 2, 0.5]
    assert list(epochs.lines[-1].get_xdata()) == [2, 2]
    labels = [line.get_label() for line in epochs.lines]
    assert "kept: epoch 2" in labels
    assert ("validation" in labels) == np.isfinite(validation).all()


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_saving_writes_the_format_of_the_ending(ending: str, tmp_path: Path) -> None:
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending]
    save(depth_figure(CURVES, title="", score=""), tmp_path / f"f.{ending}")
    assert [path.name for path in tmp_path.iterdir()] == [f"f.{ending}"]
    assert (tmp_path / f"f.{ending}").read_bytes().startswith(start)


def test_few_colors_are_a_smaller_file_of_the_same_picture(tmp_path: Path) -> None:
    figure = depth_figure(CURVES, title="", score="")
    save(figure, tmp_path / "all.png")
    save(figure, tmp_path / "few.png", colors=64)
    with Image.open(tmp_path / "all.png") as full, Image.open(tmp_path / "few.png") as few:
        assert len(few.convert("RGB").getcolors(64)) > 16
        assert few.size == full.size
        apart = np.abs(np.subtract(full.convert("RGB"), few.convert("RGB"), dtype=float))
    assert apart.mean() < 1  # of 255
    assert (tmp_path / "few.png").stat().st_size < 0.6 * (tmp_path / "all.png").stat().st_size
    for path, colors in (("f.svg", 64), ("f.png", 1), ("f.png", 257)):
        with pytest.raises(ArgumentError, match=f"of 2 to 256; {colors} came for '{path}'"):
            save(figure, tmp_path / path, colors=colors)


def test_a_place_that_cannot_be_is_told_before_the_work(tmp_path: Path) -> None:
    check_path(tmp_path / "f.SVG")
    with pytest.raises(ArgumentError, match=r"end in .png, .svg or .pdf; got 'f.doc'"):
        check_path(tmp_path / "f.doc")
    with pytest.raises(ArgumentError, match=r"needs a folder; there is no '.*nowhere'"):
        check_path(tmp_path / "nowhere" / "f.png")
