"""The gain on the data, and whom a variance that follows it is blamed on."""

import json
import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

import selfnorm
from auditing.test_exact import columns, linear, recorded
from auditing.test_mistakes import ROWS, WIDTH, plain, standard
from auditing.test_rules import aligned
from selfnorm.auditing import Report
from selfnorm.init import initialize_
from selfnorm.optim import keep_orthogonal
from support.tolerances import EXACT_MOMENTS, SAME_UP_TO_ROUNDING

FLOAT = SAME_UP_TO_ROUNDING[torch.float32]


def gain(model: nn.Module, inputs: object) -> float:
    return recorded(model, inputs)[0].data_gain


class Called(nn.Module):
    """A product that is called by another name."""

    def __init__(self, call: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.weight, self.call = nn.Parameter(torch.ones(4, 4)), call

    def forward(self, x: Tensor) -> Tensor:
        return self.call(x, self.weight)


@pytest.mark.parametrize(
    ("model", "inputs", "expected"),
    [
        (linear(torch.eye(4)), columns(), 1.0),
        (linear(torch.eye(4), bias=3.0), columns(), 1.0),  # which is not counted
        (linear(torch.zeros(4, 4), bias=3.0), columns(), 0.0),
        (linear(torch.ones(3, 4)), columns(), 4.0),  # independent: tau
        (linear(torch.ones(3, 4)), columns()[:, :1].expand(-1, 4), 16.0),  # copies: omega squared
        (linear(torch.ones(3, 4)), columns() * torch.tensor([2.0, 0, 0, 0]), 4.0),
        (linear(torch.ones(3, 4)), torch.ones(8, 4), 16.0),
        (linear(torch.ones(3, 4)), columns().view(8, 8, 4), 4.0),
        (linear(2 * torch.eye(4)).half(), columns().half(), 4.0),
        (Called(lambda x, w: x @ w), columns(), 4.0),
        (Called(lambda x, w: w @ x.T), columns(), 4.0),
        (Called(functional.linear), columns(), 4.0),
        (Called(lambda x, w: torch.addmm(torch.ones(4), x, w)), columns(), 4.0),
    ],
)
def test_gains_that_are_known(model: nn.Module, inputs: Tensor, expected: float) -> None:
    assert gain(model, inputs) == pytest.approx(expected, rel=FLOAT)


def test_without_a_gain() -> None:
    """Nothing comes in; or a product of two inputs, which have no one size."""
    assert math.isnan(gain(linear(torch.eye(4)), torch.zeros(8, 4)))
    assert math.isnan(gain(nn.Bilinear(4, 4, 2), (columns(), columns())))
    assert math.isnan(gain(nn.LSTM(4, 4), columns()))
    assert math.isnan(
        recorded(nn.Sequential(linear(torch.eye(4)), nn.SELU()), columns())[1].data_gain
    )


def test_batches_weigh_by_their_rows() -> None:
    """Two batches of unlike size: squares are added up before they are divided."""
    rows = torch.cat(
        [columns(32) * torch.tensor([1.0, 0, 0, 0]), 3 * columns(16)[:, :1].repeat(1, 4)]
    )
    found = gain(
        linear(torch.ones(3, 4), bias=1.0),
        torch.utils.data.DataLoader(torch.utils.data.TensorDataset(rows), batch_size=32),
    )
    assert found == pytest.approx((32 * 1 + 16 * 144) / (32 / 4 + 16 * 9), rel=EXACT_MOMENTS)


@pytest.mark.parametrize(
    "geometry",
    [
        {},
        {"padding": 1},
        {"padding": "same", "dilation": 2},
        {"stride": 2, "padding": (1, 0)},
        {"groups": 2, "padding": 1},
        {"padding": 1, "padding_mode": "reflect"},
    ],
    ids=str,
)
def test_a_convolution_is_a_product_with_its_windows(geometry: dict[str, object]) -> None:
    """Images that are brighter in the middle, so that it matters how often a pixel is read."""
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6, 3, **geometry)  # pyright: ignore
    images = torch.randn(16, 4, 7, 6) * torch.linspace(0, 3, 6)
    read = images
    if conv.padding_mode == "reflect":
        read, conv.padding = functional.pad(images, (1, 1, 1, 1), "reflect"), (0, 0)
    padding = {"same": (2, 2)}.get(str(conv.padding), conv.padding)
    windows = functional.unfold(read, 3, conv.dilation, padding, conv.stride)  # pyright: ignore
    if conv.padding_mode == "reflect":
        conv.padding = (1, 1)
    made = conv(images) - conv.bias.view(-1, 1, 1)  # pyright: ignore
    expected = made.detach().double().square().mean() / windows.double().square().mean()
    assert gain(conv, images) == pytest.approx(float(expected), rel=EXACT_MOMENTS)


@pytest.mark.parametrize(("kernel", "stride", "terms"), [(2, 2, 1), (4, 2, 4), (3, 3, 1)])
def test_a_transposed_convolution_sums_the_taps_of_a_phase(
    kernel: int, stride: int, terms: int
) -> None:
    """Ones on ones: each output sums as many, and the mean square of what it sums is 1."""
    conv = nn.ConvTranspose2d(1, 1, kernel, stride, padding=kernel - stride, bias=False)
    nn.init.ones_(conv.weight)
    (layer,) = recorded(conv, torch.ones(4, 1, 5, 5))
    assert layer.data_gain == pytest.approx(terms**2, rel=FLOAT)


def test_it_stands_in_every_form_of_the_report() -> None:
    report = selfnorm.audit(nn.Sequential(linear(torch.ones(3, 4)), nn.SELU()), columns())
    first, act = json.loads(report.to_json())["layers"]
    assert first["data_gain"] == pytest.approx(4.0, rel=FLOAT)
    assert act["data_gain"] is None
    assert first["weights"][0]["gram_error"] is None  # rows alike: far from orthogonal
    assert report.to_frame()["data_gain"][0] == first["data_gain"]
    assert " tau  gain" in str(report)
    assert max(map(len, str(report).splitlines())) <= 80


def test_weights_near_orthogonal_ones_say_how_near() -> None:
    def error(weight: Tensor) -> float:
        return recorded(linear(weight), columns(width=weight.shape[1]))[0].weights[0].gram_error

    assert error(torch.eye(4)) == 0
    assert error(1.1**0.5 * torch.eye(4)) == pytest.approx(0.1, rel=EXACT_MOMENTS)
    assert error(torch.diag(torch.tensor([1.0, 1.0, 1.0, 0.6**0.5]))) == pytest.approx(
        0.4, rel=EXACT_MOMENTS
    )
    wide = torch.eye(4)[:2]
    assert error(wide) == 0
    assert error(2**0.5 * wide.T) == 0  # columns of squared length units / inputs
    assert math.isnan(error(torch.ones(4, 4)))
    assert math.isnan(error(1.6**0.5 * torch.eye(4)))


def findings(model: nn.Module, inputs: Tensor) -> dict[str, str]:
    found = selfnorm.audit(model, inputs).findings
    return {finding.rule: finding.severity for finding in found if finding.severity != "note"}


def test_aligned_weights_are_named_and_nothing_else_for_them() -> None:
    """tau = 1, omega = 0, one direction: 128 times the mean square."""
    torch.manual_seed(0)
    model, x = aligned()
    report = selfnorm.audit(model, x)
    first = report.findings[0]
    assert (first.rule, first.severity, first.module) == ("aligned-weights", "error", "0")
    assert "most 0 (128 at tau = 1)" in first.seen
    assert "the layer before it multiplies the mean square of this data by 128 times" in first.seen
    assert 'initialize_(model, distribution="orthogonal")' in first.fix
    assert "selfnorm.optim.keep_orthogonal(optimizer, model)" in first.fix
    assert set(findings(model, x)) <= {"aligned-weights", "variance-drift", "saturation"}


@pytest.mark.parametrize("size", [1.3, 3.0])
def test_weights_that_grew_with_their_gain_have_one_cause(size: float) -> None:
    torch.manual_seed(0)
    model, x = aligned(size)
    assert "aligned-weights" in findings(model, x)
    assert "weight-drift" not in findings(model, x)
    found = findings(model, standard(ROWS, WIDTH))  # of other data the size is all there is
    assert "weight-drift" in found
    assert "aligned-weights" not in found


def test_size_is_to_blame_where_it_explains_more() -> None:
    """One layer is aligned, beyond any chance; but what grows behind it grows by tau = 1.6."""
    torch.manual_seed(0)
    model = plain(16)
    direction = 1.0 - 2.0 * (torch.randperm(WIDTH) % 2)
    x = 0.9 * standard(ROWS, WIDTH) + 0.44 * standard(ROWS, 1) * direction
    with torch.no_grad():
        weight = model[0].weight  # pyright: ignore
        weight.mul_(0.8**0.5).add_(torch.outer(direction, direction) * (0.2 / WIDTH) ** 0.5)  # pyright: ignore
        for layer in model[2:-1:2]:
            layer.weight.mul_(1.6**0.5)  # pyright: ignore
    report = selfnorm.audit(model, x)
    assert report.layers[0].data_gain > 2.5 * report.layers[0].tau
    found = findings(model, x)
    assert "selu-without-lecun" in found
    assert "aligned-weights" not in found


def test_orthogonal_weights_within_a_tenth_are_right() -> None:
    """tau = .92 lies outside of what chance gives 16,384 LeCun weights, and of theorem 1."""
    model = initialize_(plain(4), distribution="orthogonal")
    free = plain(4)
    with torch.no_grad():
        for layer in (*model[::2], *free[::2]):
            layer.weight.mul_(0.92**0.5)  # pyright: ignore
    x = standard(ROWS, WIDTH)
    assert not findings(model, x)
    assert "selu-without-lecun" in findings(free, x)


def test_kept_weights_that_narrow_get_a_note() -> None:
    """Orthonormal rows of which the first is the one direction: the others see nothing."""
    torch.manual_seed(0)
    direction = 1.0 - 2.0 * (torch.randperm(128) % 2)
    first = nn.Linear(128, 32).double()
    with torch.no_grad():
        q = torch.linalg.qr(torch.cat([direction[:, None], torch.randn(128, 31)], 1).double())[0]
        first.weight.copy_(q.T)
        first.bias.zero_()
    rest = initialize_(
        nn.Sequential(nn.Linear(32, 32), nn.SELU(), nn.Linear(32, 2)), distribution="orthogonal"
    )
    model = nn.Sequential(first, nn.SELU(), rest).double()
    report = selfnorm.audit(model, standard(ROWS, 1).double() * direction)
    assert report.layers[0].data_gain == pytest.approx(4.0, rel=EXACT_MOMENTS)
    (found,) = [f for f in report.findings if f.rule == "aligned-weights"]
    assert found.severity == "note"
    assert "fewer units than inputs" in found.fix


FORMS: dict[str, Callable[[int], nn.Module]] = {
    "SELU": lambda _: nn.SELU(),
    "shaped": lambda depth: selfnorm.nn.SELU(depth=depth),
    "bidirectional": lambda _: selfnorm.nn.SELU(bidirectional=True),
}


def course(activation: Callable[[int], nn.Module], depth: int, *, keep: bool) -> Iterator[Report]:
    """Audits before, halfway through and after 60 steps on digits."""
    torch.manual_seed(0)
    table = load_digits()
    x = torch.tensor(table.data, dtype=torch.float32)
    x = (x - x.mean(0)) / x.std(0, correction=0).clamp(min=1e-6)
    y = torch.tensor(table.target)
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(64, 64), activation(depth)]
    model = nn.Sequential(*layers, nn.Linear(64, 10))
    initialize_(model, distribution="orthogonal" if keep else "normal")
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    if keep:
        keep_orthogonal(optimizer, model)
    yield selfnorm.audit(model, x)
    for step in range(60):
        rows = torch.randint(len(x), (64,))
        optimizer.zero_grad()
        functional.cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
        if step in {29, 59}:
            yield selfnorm.audit(model, x)


@pytest.mark.parametrize("depth", [8, 24])
@pytest.mark.parametrize("name", FORMS)
def test_kept_networks_raise_no_alarm(name: str, depth: int) -> None:
    """benchmarks/trained_alarms.py has more of them, trained for longer."""
    for report in course(FORMS[name], depth, keep=True):
        assert report.ok, str(report)
    kept = [layer for layer in report.layers if layer.role == "linear"][:-1]
    tolerance = 0.25 if depth <= 16 else 0.09
    assert max(layer.weights[0].gram_error for layer in kept) < tolerance
    gains = [layer.data_gain for layer in kept]
    assert np.abs(np.log(gains)).max() < -np.log(1 - tolerance)


def test_free_networks_are_named() -> None:
    before, _, after = course(FORMS["SELU"], 24, keep=False)
    assert before.ok
    first = after.findings[0]
    assert first.rule == "aligned-weights", str(after)
    assert max(layer.variance for layer in after.layers if layer.role == "activation") > 4
    assert all(0.9 < layer.tau < 1.15 for layer in after.layers[:-1] if layer.weights)
    assert not {f.rule for f in after.findings} & {
        "weight-drift",
        "wrong-init",
        "selu-without-lecun",
    }


def test_gradients_may_grow_as_their_form_lets_them() -> None:
    """By 2 over all of a hundred shaped layers, where SELU itself would make them 1,000."""
    torch.manual_seed(0)
    model = selfnorm.nn.MLP(512, 10, width=512, depth=100, weights="orthogonal")
    x = torch.randn(64, 512)
    assert not selfnorm.audit(model, x, rules=["gradient-drift"]).findings
    with torch.no_grad():
        for layer in model[::2]:
            layer.weight.mul_(1.4**0.5)  # pyright: ignore
    found = selfnorm.audit(model, x, rules=["gradient-drift"]).findings
    assert {finding.rule for finding in found} == {"gradient-drift"}
