"""Inputs that a conversion leaves as they are, as they are not the model's: named to the caller."""

from selfnorm.converting._work import Work
from selfnorm.recording import Recording
from selfnorm.recording._rightness import not_standardized


def name_raw(work: Work, seen: Recording) -> None:
    """Note inputs that are not standardized, and what standardizes them."""
    for features in seen.features:
        if not_standardized(features) is None:
            continue
        reader = seen.layers[features.reader]
        where = f"of {reader.name}" if features.computed else "of the model"
        front = reader.name if features.computed else "the model"
        work.say(
            reader.module,
            "note",
            f"inputs {where}: mean {features.mean:.3g}, variance {features.variance:.3g}",
            "",
            "not standardized, and a conversion sizes weights to them as they are: put "
            f"selfnorm.nn.Standardize, fitted to training rows, in front of {front}, and "
            "convert both",
        )
