"""The figures of a training hold what they were given."""

from pathlib import Path

import numpy as np
import pytest

from selfnorm.errors import ArgumentError
from selfnorm.plots import Curve, depth_figure, save
from selfnorm.plots._style import check_path
from selfnorm.plots._training import training_figure

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
    assert [bar.get_width() for bar in bars.patches] == [0.9, 0.1]
    assert before.get_yscale() == "log"


def test_values_beyond_the_axis_are_drawn_at_its_end() -> None:
    after = depth_figure(CURVES, title="", score="").axes[1]
    assert np.isfinite(after.lines[1].get_ydata()).all()
    assert after.lines[1].get_ydata().max() == 1e6


@pytest.mark.parametrize("validation", [[0.5, 0.4], [np.nan, np.nan]])
def test_the_training_figure_marks_the_epoch_that_was_kept(validation: list[float]) -> None:
    figure = training_figure(
        [1.0, 1.0], [1.0, 2.0], loss=[1.0, 0.5], validation_loss=validation, best=2, title="t"
    )
    labels = [line.get_label() for line in figure.axes[1].lines]
    assert "kept: epoch 2" in labels
    assert ("validation" in labels) == np.isfinite(validation).all()


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_saving_writes_the_format_of_the_ending(ending: str, tmp_path: Path) -> None:
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending]
    save(depth_figure(CURVES, title="", score=""), tmp_path / f"f.{ending}")
    assert [path.name for path in tmp_path.iterdir()] == [f"f.{ending}"]
    assert (tmp_path / f"f.{ending}").read_bytes().startswith(start)


def test_a_place_that_cannot_be_is_told_before_the_work(tmp_path: Path) -> None:
    check_path(tmp_path / "f.SVG")
    with pytest.raises(ArgumentError, match=r"end in .png, .svg or .pdf; got 'f.doc'"):
        check_path(tmp_path / "f.doc")
    with pytest.raises(ArgumentError, match=r"needs a folder; there is no '.*nowhere'"):
        check_path(tmp_path / "nowhere" / "f.png")
