"""With an example, weights before SELUs are scaled to what it shows; and only then."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

import selfnorm
from selfnorm.converting import Changes
from selfnorm.theory import THEOREM_1

IMAGES = torch.randn(16, 8, 4, 4, generator=torch.Generator().manual_seed(0))


def padded(depth: int = 6) -> nn.Sequential:
    """Zeros are a third of what its windows sum."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Conv2d(8, 8, 3, padding=1, groups=2), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128, 3))


def converted(model: nn.Module, x: Tensor, **choices: object) -> tuple[nn.Module, Changes]:
    torch.manual_seed(0)
    return selfnorm.convert(model, **choices)  # pyright: ignore[reportArgumentType]


def test_padding_is_made_up_for_and_told() -> None:
    new, changes = converted(padded(), IMAGES, example=IMAGES)
    assert changes.checked is not None
    assert not changes.checked.outside
    x, scaled = IMAGES, {change.module for change in changes if "* weights" in change.after}
    for name, layer in new.named_children():
        x = layer(x)
        if isinstance(layer, nn.SELU):
            assert THEOREM_1.holds("variance", float(x.detach().var())), name
    assert scaled
    plain, _ = converted(padded(), IMAGES)
    for name, parameter in plain.named_parameters():
        same = torch.equal(parameter, new.get_parameter(name))
        assert same == (name.rpartition(".")[0] not in scaled or name.endswith("bias")), name


def test_a_right_network_has_lecuns_weights() -> None:
    model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU())
    model.append(nn.Linear(256, 2))
    x = torch.randn(256, 64, generator=torch.Generator().manual_seed(0))
    new, changes = converted(model, x, example=x)
    plain, _ = converted(model, x)
    assert all(map(torch.equal, new.parameters(), plain.parameters()))
    assert changes.counts() == {"replaced": 2, "initialized": 1}


def test_trained_weights_are_not_scaled() -> None:
    model = padded()
    new, changes = converted(model, IMAGES, example=IMAGES, init=None)
    assert all(map(torch.equal, new.parameters(), model.parameters()))
    assert changes.checked is not None
    assert changes.checked.outside


class Asking(nn.Module):
    """Asks for gradients by a hidden state, and takes a softmax over the second dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        x.requires_grad = True
        return self.last(self.first(x).softmax(dim=1))


@pytest.mark.parametrize("judge", [selfnorm.audit, lambda m, x: selfnorm.convert(m, example=x)])
def test_what_runs_can_be_looked_at(judge: object) -> None:
    x = torch.randn(16, 8)
    Asking()(x.clone())
    assert judge(Asking(), x)  # pyright: ignore[reportCallIssue]


def test_what_a_conversion_sizes_is_not_found_fault_with() -> None:
    """Around paddings and pools weights have another size than LeCun's, and rightly so."""
    torch.manual_seed(1)
    x = torch.randn(32, 3, 16, 16)
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, padding=1), nn.ReLU()]
    for at in range(6):
        layers += [nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if at in {1, 3} else []
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))
    report = selfnorm.audit(selfnorm.convert(model, example=x)[0], x)
    assert report.ok, report


def test_a_size_that_fits_a_formula_by_chance_is_not_found_fault_with() -> None:
    """Paddings of small maps ask for 1.1 times LeCun's weights; one gets the usual deviation .1."""
    torch.manual_seed(0)
    x = torch.randn(64, 3, 7, 7)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise((3, 24, 24, 24, 13, 24, 24, 24, 24, 24)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
    new, _ = selfnorm.convert(nn.Sequential(*layers, nn.Conv2d(24, 4, 1)), example=x)
    with torch.no_grad():
        new[8].weight.mul_(0.1 / new[8].weight.square().mean().sqrt())
    report = selfnorm.audit(new, x)
    assert report.ok, report.findings


def test_raw_inputs_are_named_with_what_mends_them() -> None:
    torch.manual_seed(0)
    x = 5 * torch.randn(256, 20) + 3
    model = nn.Sequential(nn.Linear(20, 64), nn.SELU(), nn.Linear(64, 2))
    _, changes = selfnorm.convert(model, example=x)
    (note,) = [change for change in changes if change.kind == "note"]
    assert note.module == "0"
    assert note.before.startswith("inputs of the model: mean 2.9")
    assert "put selfnorm.nn.Standardize, fitted to training rows, in front of the model" in note.why
    both = nn.Sequential(selfnorm.nn.Standardize(20).fit(x), model)
    new, changes = selfnorm.convert(both, example=x)
    assert "note" not in changes.counts()
    assert selfnorm.audit(new, x).ok
    _, changes = selfnorm.convert(model, example=x, init=None)
    assert "note" not in changes.counts(), "trained weights belong to the inputs as they are"
