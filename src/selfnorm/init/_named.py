"""Weights of layers that torch does not have: drawn by the fan-in that somebody names."""

from collections.abc import Mapping, Sequence

from selfnorm.errors import ArgumentError
from selfnorm.init._distributions import Draw
from selfnorm.init._layers import Constant, Weight
from selfnorm.init._places import Place, Slot


def slots_named(
    fan_in: Mapping[str, int], slots: Sequence[Slot], unknown: Sequence[Place], draw: Draw
) -> tuple[list[Slot], list[Place]]:
    """Slots of the weights that are named and of the biases beside them; the places that are left.

    Which of a weight's numbers one unit sums is not known of them, so that they are drawn
    independently. A vector called `bias` of the same module becomes 0.

    Raises:
        ArgumentError: A name is of no parameter that only its fan-in tells of, a fan-in is no whole
            number of 1 or more, or draws are to be exact.
    """
    if not fan_in:
        return [], list(unknown)
    _check(fan_in, slots, unknown, draw)
    owners = {place.path for place in unknown if place.qualified in fan_in}
    found: list[Slot] = []
    left: list[Place] = []
    for place in unknown:
        if (n := fan_in.get(place.qualified)) is not None:
            found.append(Slot(place, Weight(place.name, fan_in=n, multiplies=False)))
        elif place.name == "bias" and place.path in owners and place.outline.ndim == 1:
            found.append(Slot(place, Constant(place.name)))
        else:
            left.append(place)
    return found, left


def _check(
    fan_in: Mapping[str, int], slots: Sequence[Slot], unknown: Sequence[Place], draw: Draw
) -> None:
    places = {place.qualified for place in unknown}
    known = {slot.place.qualified for slot in slots}
    for name, n in fan_in.items():
        if name not in places:
            came = "it knows that one's by itself" if name in known else "the model has none"
            raise ArgumentError(
                f"fan_in names parameters of layers that initialize_ does not know; got {name!r}, "
                f"and {came}. Leave it out, or see named_parameters()."
            )
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ArgumentError(
                f"a fan-in is how many terms a unit sums, a whole number of 1 or more; got {n!r} "
                f"for {name!r}. Count the numbers of one unit."
            )
    if draw.exact:
        raise ArgumentError(
            "exact=True scales the numbers of each unit, and fan_in does not say which ones these "
            f"are; got fan_in for {', '.join(map(repr, fan_in))}. Leave exact out."
        )
