"""Draw the figures of the theory's page again, light and dark: `python docs/figures.py`."""

from pathlib import Path

from selfnorm import plots

FOLDER = Path(__file__).parent / "figures"
FIGURES = {
    "selu": plots.selu_shape,
    "map": plots.map_field,
    "variance": plots.variance_maps,
    "gradients": plots.gradient_sizes,
}


def main() -> None:
    """Write every figure as SVG."""
    FOLDER.mkdir(exist_ok=True)
    for name, draw in FIGURES.items():
        plots.save(draw(), FOLDER / f"{name}.svg")
        plots.save(plots.darken(draw()), FOLDER / f"{name}-dark.svg")


if __name__ == "__main__":
    main()
