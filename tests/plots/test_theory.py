"""Figures hold what they claim to, and reach the disk whole or not at all."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from selfnorm import plots
from selfnorm.errors import ArgumentError
from selfnorm.theory import (
    THEOREM_1,
    fixed_point,
    gradient_gain,
    moments,
    neutral_dropout,
    selu_constants,
    theorem_domains,
)

FIGURES = [plots.map_field, plots.variance_maps, plots.gradient_sizes, plots.selu_shape]


@pytest.mark.parametrize("draw", FIGURES)
def test_every_figure_is_labeled_and_drawn(draw: type[Figure], tmp_path: Path) -> None:
    figure = draw()
    (axes,) = figure.axes
    assert axes.get_xlabel()
    plots.save(figure, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]


def test_the_arrows_are_the_map() -> None:
    (axes,) = plots.map_field(omega=0.05, tau=1.1).axes
    arrows = axes.collections[0]
    mean, variance = arrows.get_offsets().T
    after = moments(mean, variance, omega=0.05, tau=1.1)
    np.testing.assert_allclose(arrows.U, after.mean - mean)
    np.testing.assert_allclose(arrows.V, after.variance - variance)
    (box,) = axes.patches
    corners = box.get_bbox().get_points()
    assert corners == pytest.approx(np.transpose([THEOREM_1.mean, THEOREM_1.variance]))
    point = fixed_point(omega=0.05, tau=1.1)
    (mark,) = axes.lines
    assert mark.get_xydata().tolist() == [[point.mean, point.variance]]


def test_the_box_is_theorem_1s() -> None:
    (axes,) = plots.map_field().axes
    (box,) = axes.patches
    (domain,) = theorem_domains(1)
    corners = [*map(float, domain.mean), *map(float, domain.variance)]
    assert box.get_bbox().corners()[[0, -1]].T.flatten().tolist() == pytest.approx(corners)


def test_no_point_is_marked_where_there_is_none() -> None:
    (axes,) = plots.map_field(tau=0.3).axes
    assert not axes.lines


def test_variance_maps_meet_at_one() -> None:
    (axes,) = plots.variance_maps(["selu", "tanh", "relu"]).axes
    curves = [line for line in axes.lines if not line.get_label().startswith("_")]
    assert [line.get_label() for line in curves] == ["selu", "tanh", "relu"]
    for line in curves:
        assert np.interp(1.0, *line.get_data()) == pytest.approx(1, abs=1e-3)


def test_gradient_sizes_are_powers_of_the_gain() -> None:
    (axes,) = plots.gradient_sizes([0.1], depth=30).axes
    dropout, neutral = axes.lines[:2]
    assert dropout.get_ydata()[-1] == pytest.approx(gradient_gain(0.1) ** 15)
    assert neutral.get_ydata()[-1] == pytest.approx(1)
    assert f"{neutral_dropout():.4f}" in neutral.get_label()


def test_the_derivative_jumps_at_zero() -> None:
    (axes,) = plots.selu_shape().axes
    alpha, scale = selu_constants()
    _, left, right = axes.lines[:3]
    assert left.get_ydata()[-1] == scale * alpha
    assert right.get_ydata()[0] == scale
    assert list(axes.lines[3].get_ydata()) == [-scale * alpha] * 2
    assert [text.get_text() for text in axes.texts] == ["saturation at -1.758"]


def test_the_same_figure_is_the_same_file(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        plots.save(plots.selu_shape(), tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "figure.png"
    path.write_text("old")
    with pytest.raises(AttributeError):
        plots.save(None, path)  # type: ignore[arg-type] # anything that fails in the middle
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"end in .png, .svg or .pdf; got 'figure.bmp'"):
        plots.save(Figure(), tmp_path / "figure.bmp")
    with pytest.raises(ArgumentError, match=r"there is no .*nowhere"):
        plots.save(Figure(), tmp_path / "nowhere" / "figure.png")
