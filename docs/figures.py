"""Draw the figures of the documentation again: `python docs/figures.py`."""

from pathlib import Path

from selfnorm import plots

FOLDER = Path(__file__).parent / "figures"


def main() -> None:
    """Write every figure as SVG."""
    FOLDER.mkdir(exist_ok=True)
    plots.save(plots.selu_shape(), FOLDER / "selu.svg")
    plots.save(plots.map_field(), FOLDER / "map.svg")
    plots.save(plots.variance_maps(), FOLDER / "variance.svg")
    plots.save(plots.gradient_sizes(), FOLDER / "gradients.svg")


if __name__ == "__main__":
    main()
