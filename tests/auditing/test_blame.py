"""What is not blamed, and where a drift is laid that something else tells already."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import selfnorm
from selfnorm.init import initialize_
from support.audits import ROWS, WIDTH, drawn, of_rule


class Scoring(nn.Module):
    """Attention over units; scores are sums of many products, behind a softmax nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        scores = torch.einsum("nd,md->nm", self.query(x), self.key(x))
        return (scores * WIDTH**-0.5).softmax(-1) @ self.value(x)


def test_scores_are_not_blamed_for_what_lies_behind_a_softmax() -> None:
    torch.manual_seed(0)
    layers = [m for _ in range(3) for m in (Scoring(), nn.SELU())]
    model = initialize_(nn.Sequential(nn.Linear(WIDTH, WIDTH), *layers, nn.Linear(WIDTH, 4)))
    for one in model.modules():
        if isinstance(one, Scoring):
            nn.init.normal_(one.query.weight, std=0.25)
    (found,) = of_rule(model, torch.randn(ROWS, WIDTH), "variance-drift")
    assert "matmul() multiplies the second moment by" in found.why


def test_of_masked_weights_of_no_known_size_the_cause_is_unknown() -> None:
    torch.manual_seed(0)
    layers = [m for _ in range(4) for m in (nn.Linear(WIDTH, WIDTH), nn.SELU())]
    model = initialize_(nn.Sequential(*layers, nn.Linear(WIDTH, 4)))
    mask = torch.rand(WIDTH, WIDTH) < 0.6
    model[2].weight.data = mask * drawn(WIDTH, WIDTH, deviation=0.0371)
    (found,) = of_rule(model, torch.randn(ROWS, WIDTH), "weight-drift")
    assert "its cause is unknown: weights, of which 40% were set to 0" in found.seen
    assert "the others of a deviation of 0.03" in found.seen
    assert found.fix.startswith("Multiply what is left of the weights by ")


class Padded(nn.Module):
    """An embedding with a row of padding, whose rows are the output's weights as well."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, WIDTH, padding_idx=1)
        self.body = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.SELU())
        self.head = nn.Linear(WIDTH, 50, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.body(self.embed(tokens)))


def test_rows_that_decode_are_known_in_spite_of_padding() -> None:
    torch.manual_seed(0)
    model = Padded()
    initialize_(model.body)
    model.embed.weight.data = torch.randn(50, WIDTH) * WIDTH**-0.5
    for size in (1, 0):  # of the row of padding, which initializing draws as well
        model.embed.weight.data[1] *= size
        (found,) = of_rule(model, torch.randint(2, 50, (ROWS,)), "embedding-variance")
        assert "its weights are those of head, too" in found.fix


class Pooled(nn.Module):
    """Behind a pool there is a block with a shortcut, or a layer alone."""

    def __init__(self, *, shortcut: bool) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(8, 16, 3), nn.SELU())
        self.pool, self.one, self.two = nn.MaxPool2d(3, 1), nn.Conv2d(16, 16, 1), nn.SELU()
        self.shortcut, self.head = shortcut, nn.Conv2d(16, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.stem(x))
        y = self.two(self.one(x))
        return self.head(0.5**0.5 * (functional.selu(x) + y) if self.shortcut else y)


def test_a_conversion_is_advised_where_it_can_size_all_that_reads_a_pool() -> None:
    torch.manual_seed(0)
    for shortcut in (False, True):
        model = initialize_(Pooled(shortcut=shortcut))
        (found,) = of_rule(model, torch.randn(32, 8, 9, 9), "pooling")
        assert ("selfnorm.convert(model, example=inputs)" in found.fix) is not shortcut


class Summed(nn.Module):
    """Sums that are not scaled, of a small stream for which the first weights make up."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.starts = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(blocks))
        self.ends = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(blocks))
        self.first, self.head = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 4)
        self.drop = nn.Dropout(0.05)

    def forward(self, x: Tensor) -> Tensor:
        x = 0.1 * self.first(x)
        for start, end in zip(self.starts, self.ends, strict=True):
            x = x + end(self.drop(functional.selu(start(x))))
        return self.head(x)


def test_sizes_that_make_up_for_what_they_read_set_no_gradient() -> None:
    """Nor does dropout make one grow."""
    torch.manual_seed(0)
    model = initialize_(Summed(12))
    model.starts[0].weight.data *= 10
    (found,) = of_rule(model, torch.randn(ROWS, WIDTH), "gradient-drift")
    assert "Placed: the structure" in found.why


def test_rows_of_unlike_size_show_behind_later_layers_too() -> None:
    torch.manual_seed(0)
    x = torch.randn(512, 64) * torch.randn(512, 1).exp()
    x = (x - x.mean(0)) / x.std(0)
    report = selfnorm.audit(selfnorm.nn.MLP(64, 2, width=64, depth=6), x)
    first, *later = [layer.variance for layer in report.layers if layer.role == "activation"]
    assert first > 0.8
    assert min(later) < 0.75
    assert [finding.rule for finding in report.findings] == ["heavy-tailed-input"]


class Mirrored(nn.Module):
    """A decoder of the encoder's weights, transposed, before a further layer."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.inner, self.last = (
            nn.Linear(256, 64),
            nn.Linear(64, 64),
            nn.Linear(256, 2),
        )
        initialize_(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.selu(self.inner(nn.functional.selu(self.encode(x))))
        return self.last(nn.functional.selu(nn.functional.linear(x, self.encode.weight.t())))


def generator() -> nn.Module:
    """Begins with a map of one pixel, so that most of what its first layers sum is padding."""
    parts = [nn.ConvTranspose2d(100, 64, 4), nn.SELU(), nn.ConvTranspose2d(64, 32, 4, 2, 1)]
    return initialize_(nn.Sequential(*parts, nn.SELU(), nn.Conv2d(32, 3, 3)))


@pytest.mark.parametrize(
    ("make", "shape", "rule"),
    [(Mirrored, (256, 256), "tied-weight"), (generator, (64, 100, 1, 1), "zero-padding")],
)
def test_a_drift_is_laid_at_what_is_told(make, shape: tuple[int, ...], rule: str) -> None:
    torch.manual_seed(0)
    report = selfnorm.audit(make(), torch.randn(shape))
    (drift,) = [finding for finding in report.findings if finding.rule == "variance-drift"]
    assert drift.fix == f"Mend {rule}."
    assert rule in {finding.rule for finding in report.findings if finding.severity != "note"}
