"""`selfnorm solve`: constants, fixed points and normalized activations."""

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from selfnorm.cli._console import output
from selfnorm.errors import ArgumentError
from selfnorm.report._numbers import digits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfnorm.theory import FixedPoint, NormalizedActivation


_DIGITS = 17
_GROWTH = "2"


def solve(
    *,
    mean: Annotated[str, typer.Option(help="The mean that a layer of SELU shall keep.")] = "0",
    variance: Annotated[str, typer.Option(help="The variance that it shall keep.")] = "1",
    omega: Annotated[
        float | None,
        typer.Option(help="Sum of a unit's weights. [default: 0, or 1 if --mean is not 0]"),
    ] = None,
    tau: Annotated[float, typer.Option(help="Sum of squares of a unit's weights.")] = 1.0,
    digits: Annotated[
        int | None, typer.Option(help="Certified decimal digits of the constants.")
    ] = None,
    activation: Annotated[
        str | None,
        typer.Option(help="Another activation, by name: its normalized version and fixed points."),
    ] = None,
    compare: Annotated[
        bool, typer.Option(help="Compare all activations that have a name.")
    ] = False,
    depth: Annotated[
        int | None, typer.Option(help="Shape SELU for so many layers: a line is mixed in.")
    ] = None,
    growth: Annotated[
        str, typer.Option(help="Factor on the second moment of gradients over that depth.")
    ] = _GROWTH,
    gradient_gain: Annotated[
        str | None, typer.Option(help="Offset SELU for this factor a layer, such as 1.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the moment map, or variance maps, to this file.")
    ] = None,
) -> None:
    """Solve for SELU's constants, or for the fixed points of any activation."""
    forms = (depth is not None, gradient_gain is not None)
    constants = mean != "0" or variance != "1" or (digits is not None and not any(forms))
    if sum((constants, *forms, activation is not None, compare)) > 1:
        msg = (
            "One question at a time: constants (--mean, --variance, --digits), --depth, "
            "--gradient-gain, one --activation, --compare. Leave the others out."
        )
        raise ArgumentError(msg)
    if growth != _GROWTH and depth is None:
        msg = f"--growth is over a depth; got {growth} without one. Add --depth."
        raise ArgumentError(msg)
    if any(forms):
        if plot is not None:
            msg = "A form of SELU has no figure. Leave --plot out, or --depth and --gradient-gain."
            raise ArgumentError(msg)
        _print_form(
            depth, growth, gradient_gain, _DIGITS if digits is None else digits, omega or 0.0, tau
        )
        return
    if plot is not None:
        from selfnorm.plots._style import check_path

        check_path(plot)
    if compare:
        _print_comparison()
    elif activation is not None:
        _print_activation(activation, omega or 0.0, tau)
    else:
        _print_constants(mean, variance, omega, tau, digits=digits)
    if plot is not None:
        _draw(plot, activation, compare=compare, omega=omega or 0.0, tau=tau)


def _print_constants(
    mean: str, variance: str, omega: float | None, tau: float, *, digits: int | None
) -> None:
    from selfnorm.theory import fixed_point, selu_constants

    digits = _DIGITS if digits is None else digits
    if omega is None:
        omega = 0.0 if mean == "0" else 1.0
    if mean == "0" and variance == "1":  # the standard constants, whatever weights they then meet
        shown = selu_constants(digits=digits)
        point = fixed_point(omega=omega, tau=tau)
    else:
        shown = selu_constants(mean, variance, omega=omega, tau=tau, digits=digits)
        point = fixed_point(
            omega=omega,
            tau=tau,
            activation=selu_constants(mean, variance, omega=omega, tau=tau),
            start=(float(Fraction(mean)), float(Fraction(variance))),
        )
    output.print(f"alpha  {shown.alpha}", soft_wrap=True)
    output.print(f"scale  {shown.scale}", soft_wrap=True)
    _print_points([point], omega, tau)


def _print_form(
    depth: int | None,
    growth: str,
    gradient_gain: str | None,
    digits: int,
    omega: float,
    tau: float,
) -> None:
    from selfnorm.theory import SELUForm, fixed_point, selu_constants, shaped_selu

    if depth is not None:
        form = shaped_selu(depth, growth=growth, digits=digits)
    else:
        form = selu_constants(gradient_gain=gradient_gain or "1", digits=digits)
    output.print("linear * x + factor * selu(x) + shift")
    for name, value in form._asdict().items():
        output.print(f"{name:13}  {value}", soft_wrap=True)
    if not form.shift:
        point = fixed_point(omega=omega, tau=tau, activation=SELUForm(*map(float, form[:3])))
        _print_points([point], omega, tau)


def _print_activation(name: str, omega: float, tau: float) -> None:
    from selfnorm.theory import fixed_points, normalize_activation

    _print_normalized([normalize_activation(name)])
    output.print()
    try:
        points = fixed_points(activation=name, omega=omega, tau=tau)
    except ArgumentError as problem:
        output.print(f"Fixed points of {name} itself: {problem}", soft_wrap=True)
        return
    output.print(f"Fixed points of {name} itself")
    _print_points(points, omega, tau)


def _print_comparison() -> None:
    from selfnorm.theory import compare_activations

    _print_normalized(compare_activations())


def _print_points(points: "Sequence[FixedPoint]", omega: float, tau: float) -> None:
    title = f"for weights of sum {omega:g} and sum of squares {tau:g}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in ("mean", "variance", "", "spectral radius", "singular value", "gradient gain"):
        table.add_column(column, justify="left" if not column else "right")
    for point in points:
        kind = "attracting" if point.attracting else "stable" if point.stable else "unstable"
        table.add_row(
            _number(point.mean),
            _number(point.variance),
            kind if point.converged or point.variance == 0 else point.reason,
            _number(point.spectral_radius),
            _number(point.largest_singular_value),
            _number(point.gradient_gain),
        )
    output.print(table)
    for point in points:
        if point.reason and len(points) == 1:
            output.print(f"No fixed point is reached from variance 1: {point.reason}.")


def _print_normalized(rows: "Sequence[NormalizedActivation]") -> None:
    table = Table(
        title="a * f(x) + b with fixed point (0, 1)",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for column in ("f", "a", "b", "variance slope", "singular value", "gradient gain", ""):
        table.add_column(column, justify="left" if column in {"f", ""} else "right")
    for row in rows:
        table.add_row(
            row.name,
            _number(row.factor),
            _number(row.shift),
            _number(row.variance_slope),
            _number(row.stretch),
            _number(row.gradient_gain),
            "attracting" if row.attracting else "stable" if row.stable else "not stable",
        )
    output.print(table)


def _draw(path: Path, activation: str | None, *, compare: bool, omega: float, tau: float) -> None:
    from selfnorm import plots

    if compare or activation is not None:
        names = ["selu", activation] if activation and activation != "selu" else None
        figure = plots.variance_maps(names) if names else plots.variance_maps()
    else:
        figure = plots.map_field(omega=omega, tau=tau)
    plots.save(figure, path)
    output.print(f"Drew {path}", soft_wrap=True)


def _number(value: float) -> str:
    """Seven digits, and none that rounding errors alone make."""
    return digits(round(value, 10), 7)
