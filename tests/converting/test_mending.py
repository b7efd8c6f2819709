"""Of the mistakes that an audit finds, a conversion mends all that lie in the model."""

import pytest
import torch

import selfnorm
from auditing.test_mistakes import MISTAKES, Mistake

NOT_THE_MODELS = {"input-not-standardized", "constant-feature", "concatenation"}
"""What is wrong with these is what they are given."""
NOT_WITHOUT_ANOTHER_DESIGN = {"missing-activation", "pooling", "zero-padding", "in-place-write"}
"""A layer more or less, other windows, another line of code: for the author to decide."""
MENDED = [
    mistake
    for mistake in MISTAKES
    if mistake.rule not in NOT_THE_MODELS | NOT_WITHOUT_ANOTHER_DESIGN
    and mistake.name not in {"float16 overflow", "alpha dropout before SELU"}
]


@pytest.mark.parametrize("mistake", MENDED, ids=lambda mistake: mistake.name)
def test_it_is_mended(mistake: Mistake) -> None:
    torch.manual_seed(1)
    model, inputs = mistake.make()
    before = {finding.rule for finding in selfnorm.audit(model, inputs).findings}
    assert mistake.rule in before
    new, changes = selfnorm.convert(model, example=inputs)
    assert len(changes)
    report = selfnorm.audit(new, inputs)
    assert report.ok, report


def test_most_are() -> None:
    assert len(MENDED) >= 25
