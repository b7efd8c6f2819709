"""A cause is named as far as it is known: where several fit, or where another stands before it."""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

import selfnorm
from selfnorm.auditing import Finding
from selfnorm.init import initialize_

WIDTH, ROWS = 64, 256


def of_rule(model: nn.Module, x: Tensor, rule: str) -> list[Finding]:
    return [found for found in selfnorm.audit(model, x).findings if found.rule == rule]


def drawn(*shape: int, deviation: float) -> Tensor:
    """Normal numbers whose deviation is this one, not only by expectation."""
    numbers = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    return numbers * deviation / numbers.square().mean().sqrt()


def test_what_few_numbers_do_not_tell_apart_is_named_side_by_side() -> None:
    """A stem of 864 numbers: He's by fan_out and Xavier's are 5 % apart, chance is 2.4 %."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 32, 3), nn.SELU(), nn.Conv2d(32, 64, 3), nn.SELU(), nn.Conv2d(64, 4, 3)
    )
    initialize_(model)
    model[0].weight.data = drawn(32, 3, 3, 3, deviation=(2 / 288) ** 0.5 * 0.975)
    (found,) = of_rule(model, torch.randn(16, 3, 12, 12), "wrong-init")
    assert "by Xavier's, xavier_normal_, or by He's, kaiming_normal_ for ReLU, mode=" in found.seen


def test_numbers_that_tell_are_believed() -> None:
    """Of the same size, and uniform: kurtosis has it, from a hundred numbers on."""
    torch.manual_seed(0)
    model = initialize_(
        nn.Sequential(*[m for _ in range(2) for m in (nn.Linear(20, 20), nn.SELU())])
    )
    nn.init.kaiming_uniform_(model[0].weight)
    model.append(nn.Linear(20, 2))
    (found,) = of_rule(model, torch.randn(ROWS, 20), "wrong-init")
    assert "kaiming_uniform_ for ReLU" in found.seen
    assert "normal" not in found.seen


def test_of_all_weights_together_one_cause_is_named() -> None:
    """What may have drawn most of them speaks for those that it may have drawn, too."""
    torch.manual_seed(0)
    widths = (3, 32, 16, 24)
    pairs = itertools.pairwise(widths)
    layers = [m for pair in pairs for m in (nn.Conv2d(*pair, 3), nn.SELU())]
    model = initialize_(nn.Sequential(*layers, nn.Conv2d(24, 4, 3)))
    for conv in (model[0], model[2], model[4]):
        nn.init.kaiming_normal_(conv.weight, mode="fan_out")
    model[0].weight.data = drawn(32, 3, 3, 3, deviation=(2 / 288) ** 0.5 * 0.975)
    (found,) = of_rule(model, torch.randn(16, 3, 12, 12), "selu-without-lecun")
    assert found.seen.endswith("as after He's, kaiming_normal_ for ReLU, mode='fan_out'")


def falling(activation: nn.Module, *norm: nn.Module) -> nn.Sequential:
    """Torch's default, at a depth at which gradients vanish."""
    torch.manual_seed(0)
    layers = [m for _ in range(12) for m in (nn.Linear(WIDTH, WIDTH), *norm, activation)]
    return nn.Sequential(*layers, nn.Linear(WIDTH, 4))


def test_behind_another_activation_gradients_are_its_matter() -> None:
    (found,) = of_rule(falling(nn.ReLU()), torch.randn(ROWS, WIDTH), "gradient-drift")
    assert "Placed: the activation" in found.why
    assert found.fix == "Mend wrong-activation."
    (found,) = of_rule(falling(nn.SELU()), torch.randn(ROWS, WIDTH), "gradient-drift")
    assert "Placed: the weights" in found.why


def test_behind_a_normalization_no_size_of_weights_shows() -> None:
    norm = nn.LayerNorm(WIDTH)
    nn.init.constant_(norm.weight, 0.1)
    model = falling(nn.SELU(), norm)
    (found,) = of_rule(model, torch.randn(ROWS, WIDTH), "gradient-drift")
    assert "Placed: normalization" in found.why
    assert of_rule(model, torch.randn(ROWS, WIDTH), "leftover-normalization")


class Attended(nn.Module):
    """A branch that ends in zeros, and a gate made of what they give."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.gate = (nn.Conv2d(16, 16, 1) for _ in range(3))
        initialize_(self)
        nn.init.zeros_(self.two.weight)

    def forward(self, x: Tensor) -> Tensor:
        made = self.two(functional.selu(self.one(x)))
        return x + made * self.gate(made.mean((2, 3), keepdim=True)).sigmoid()


def test_a_branch_of_zeros_with_a_gate_is_meant() -> None:
    torch.manual_seed(0)
    ends = nn.Conv2d(16, 16, 1), nn.SELU(), nn.Conv2d(16, 4, 1)
    initialize_(nn.Sequential(*ends))
    model = nn.Sequential(ends[0], Attended(), Attended(), *ends[1:])
    rules = {f.rule for f in selfnorm.audit(model, torch.randn(64, 16, 4, 4)).findings}
    assert not rules & {"wrong-init", "weight-drift", "gradient-drift", "constant-output"}


class Own(nn.Conv2d):
    """Calls the function itself, so that its padding mode decides nothing."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight, self.bias, padding=self.padding)


def test_zeros_of_a_function_are_its_callers() -> None:
    def fix(kind: type[nn.Conv2d]) -> str:
        torch.manual_seed(0)
        model = nn.Sequential(kind(8, 32, 5, padding=2), nn.SELU(), nn.Conv2d(32, 4, 1))
        return of_rule(initialize_(model), torch.randn(ROWS, 8, 2, 2), "zero-padding")[0].fix

    assert fix(nn.Conv2d).startswith("padding_mode='circular'")
    assert fix(Own).startswith("torch.nn.functional.pad(x, ..., mode='circular') before it")


def test_what_is_pointed_to_is_there() -> None:
    """A pool alone is not told of where there is no SELU, so a drift behind it tells what to do."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 32, 3), nn.MaxPool2d(4), nn.ReLU(), nn.Conv2d(32, 8, 1), nn.ReLU(),
        nn.Conv2d(8, 2, 1),
    )  # fmt: skip
    initialize_(model)
    report = selfnorm.audit(model, 4 * torch.randn(32, 3, 18, 18))
    rules = {found.rule for found in report.findings}
    for found in report.findings:
        if found.fix.startswith("Mend "):
            assert found.fix.split()[1].rstrip(".:") in rules
