"""Branches that start at nothing, weights that a forward makes, sizes that make up for a pool."""

import torch
from torch import Tensor, nn
from torch.nn import functional

import selfnorm
from selfnorm.auditing import Report
from selfnorm.auditing._steps import actions
from selfnorm.init import initialize_

WIDTH, ROWS = 64, 256


def audited(model: nn.Module, x: Tensor) -> Report:
    torch.manual_seed(0)
    return selfnorm.audit(model, x)


def told(report: Report, rule: str) -> list[str]:
    return [f"{one.seen} {one.fix}" for one in report.findings if one.rule == rule]


class Branch(nn.Module):
    """A block of a residual network whose last normalization starts with a scale of zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.norm = nn.BatchNorm1d(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.norm(self.two(functional.selu(self.one(x))))


class Skipping(Branch):
    """One whose branch is multiplied by a number that starts at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.2 * (self.gain * self.two(functional.selu(self.one(x))))


def residual(kind: type[Branch]) -> nn.Module:
    torch.manual_seed(0)
    ends = nn.Linear(WIDTH, WIDTH), nn.SELU(), nn.Linear(WIDTH, 4)
    model = nn.Sequential(ends[0], kind(), kind(), *ends[1:])
    initialize_(model, skip=[name for name, _ in model.named_parameters() if "gain" in name])
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.zeros_(module.weight)
    return model


def test_a_norm_that_starts_at_zero_is_no_constant() -> None:
    report = audited(residual(Branch), torch.randn(ROWS, WIDTH))
    assert not told(report, "constant-output")
    assert not told(report, "gradient-drift")
    constant = nn.Sequential(nn.Linear(WIDTH, 1), nn.LayerNorm(1), nn.SELU(), nn.Linear(1, 4))
    assert told(audited(constant, torch.randn(ROWS, WIDTH)), "constant-output")


def test_a_branch_that_is_multiplied_by_zero_is_right() -> None:
    assert audited(residual(Skipping), torch.randn(ROWS, WIDTH)).ok


class Standardized(nn.Linear):
    """A weight that is standardized, and has the gain that someone found for another function."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean(1, keepdim=True)
        weight = weight / weight.square().sum(1, keepdim=True).sqrt()
        return functional.linear(x, 1.7 * weight, self.bias)


def test_a_weight_that_a_forward_makes_was_not_initialized_so() -> None:
    parts = [part for _ in range(4) for part in (Standardized(WIDTH, WIDTH), nn.SELU())]
    model = nn.Sequential(*parts, nn.Linear(WIDTH, 4))
    (seen,) = told(audited(model, torch.randn(ROWS, WIDTH)), "selu-without-lecun")
    assert "as after the forward that computes it, which decides the size" in seen
    assert "Multiply by 0.588 what the forward makes of 0.weight" in seen


class Masked(nn.Linear):
    """Half of the weights, and those that are left with a size for that."""

    def forward(self, x: Tensor) -> Tensor:
        mask = torch.arange(WIDTH) % 2 == 0
        return functional.linear(x, self.weight * mask, self.bias)


def test_a_mask_is_still_told_as_a_mask() -> None:
    parts = [part for _ in range(4) for part in (Masked(WIDTH, WIDTH), nn.SELU())]
    model = initialize_(nn.Sequential(*parts, nn.Linear(WIDTH, 4)))
    (seen,) = told(audited(model, torch.randn(ROWS, WIDTH)), "selu-without-lecun")
    assert "LeCun's, of which 50% were set to 0" in seen


class Squeezing(nn.Module):
    """Squeeze-and-excite: a mean goes to two layers, which give a factor for each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.down, self.up = nn.Conv2d(16, 16, 1), nn.Linear(16, 16), nn.Linear(16, 16)
        self.last = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        gate = self.up(functional.selu(self.down(x.mean((2, 3))))).sigmoid()
        return self.last(functional.selu(x * gate[..., None, None]).mean((2, 3)))


def test_what_squeezes_is_not_two_linear_layers_in_a_row() -> None:
    torch.manual_seed(0)
    report = audited(initialize_(Squeezing()), torch.randn(32, 16, 6, 6))
    assert not told(report, "missing-activation")


def test_weights_that_make_up_for_what_lies_behind_are_right() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(WIDTH, WIDTH), nn.SELU(), nn.Linear(WIDTH, WIDTH), nn.AvgPool1d(4), nn.SELU(),
        nn.Linear(WIDTH // 4, 4),
    )  # fmt: skip
    initialize_(model)
    with torch.no_grad():
        model[2].weight.mul_(2)  # a mean of four has a quarter of the variance
    report = audited(model, torch.randn(ROWS, WIDTH))
    assert not told(report, "weight-drift")
    assert not told(report, "wrong-init")
    model[3] = nn.Sequential(nn.AvgPool1d(4), nn.LayerNorm(WIDTH // 4))  # in which it does not show
    report = audited(model, torch.randn(ROWS, WIDTH))
    assert told(report, "weight-drift") or told(report, "wrong-init")


class Gate(nn.Module):
    """A matrix of its own, near zero, in front of SELU: initialize_ does not know it."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(1e-4 * torch.randn(WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.matrix


def test_the_advice_for_a_matrix_of_ones_own_is_one_that_works() -> None:
    model = nn.Sequential(
        Gate(), nn.SELU(), nn.Linear(WIDTH, WIDTH), nn.SELU(), nn.Linear(WIDTH, 4)
    )
    initialize_(model, skip="0")
    (seen,) = told(audited(model, torch.randn(ROWS, WIDTH)), "weight-drift")
    assert "lecun_normal_(model.get_parameter('0.matrix'), fan_in=64)" in seen


class Gates(nn.Module):
    """Two matrices of its own, of two wrong sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.randn(WIDTH, WIDTH) * 0.02)
        self.two = nn.Parameter(torch.randn(WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return torch.selu(torch.selu(x @ self.one) @ self.two)


def test_matrices_of_ones_own_take_one_step() -> None:
    """Whatever else speaks of one of them: the report knows the fan-ins of all."""
    torch.manual_seed(0)
    model = nn.Sequential(Gates(), nn.Linear(WIDTH, 4))
    x = torch.randn(ROWS, WIDTH)
    report = audited(model, x)
    assert report.fan_in == {"0.one": WIDTH, "0.two": WIDTH}
    (step,) = actions(report.findings)
    assert step.startswith("selfnorm.init.initialize_(model, fan_in=report.fan_in)")
    selfnorm.init.initialize_(model, fan_in=report.fan_in)
    assert audited(model, x).ok
