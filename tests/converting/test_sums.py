"""What a conversion keeps where sums stay, and nobody has seen of what."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

import selfnorm
from selfnorm.converting import Changes

X = torch.randn(16, 8, generator=torch.Generator().manual_seed(0))


def left(changes: Changes) -> dict[str, str]:
    return {change.module: change.why for change in changes.left}


class Streamed(nn.Module):
    """Branches on a stream, in a `forward` that cannot be traced where it looks at values."""

    def __init__(self, blocks: int, norm: type[nn.Module] = nn.LayerNorm) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.ReLU())
        self.blocks = nn.ModuleList(
            nn.Sequential(norm(8), nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 8))
            for _ in range(blocks)
        )
        self.head = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = x + block(x) if x.isfinite().all() else x
        return self.head(x)


class Plain(Streamed):
    """The same without sums: an offset, and what something is divided by, are none."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x / (x.std() + self.first[1].eps))
        for block in self.blocks:
            x = block(x) if x.isfinite().all() else x + 1
        return self.head(x)


def test_a_norm_stays_with_sums_that_nobody_has_seen() -> None:
    torch.manual_seed(0)
    model = Streamed(10)
    new, changes = selfnorm.convert(model)
    assert {name for name, why in left(changes).items() if "sums that stay" in why} == {
        "first.1", "head.0", *(f"blocks.{at}.0" for at in range(10))
    }  # fmt: skip
    seen: list[float] = []
    for block in new.blocks:
        block[2].register_forward_hook(
            lambda _m, _a, output: seen.append(output.detach().var().item())
        )
    assert new(X).isfinite().all()
    assert all(0.5 < variance < 2 for variance in seen)
    for given in ({"norms": "remove"}, {"example": X}):
        new, changes = selfnorm.convert(model, **given)
        assert not any(isinstance(module, nn.LayerNorm) for module in new.modules())
    new, changes = selfnorm.convert(Plain(2))
    assert not any(isinstance(module, nn.LayerNorm) for module in new.modules())


def test_a_norm_before_such_sums_goes_and_a_trained_one_is_folded() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(), Streamed(1))
    _, changes = selfnorm.convert(model)
    assert [change.module for change in changes if change.kind == "folded"] == ["1"]
    model[3].first[1] = nn.BatchNorm1d(8)
    _, changes = selfnorm.convert(model, init=None)
    assert [change.module for change in changes if change.kind == "folded"] == ["1", "3.first.1"]


class End(nn.Module):
    """The end of a block whose other branch is given, as in BERT."""

    def __init__(self, behind: nn.Module) -> None:
        super().__init__()
        self.dense, self.dropout, self.behind = nn.Linear(32, 8), nn.Dropout(0.1), behind

    def forward(self, x: Tensor, given: Tensor) -> Tensor:
        return self.behind(self.dropout(self.dense(x)) + given)


class Ended(nn.Module):
    def __init__(self, blocks: int, behind: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.starts = nn.ModuleList(
            nn.Sequential(nn.Linear(8, 32), nn.ReLU()) for _ in range(blocks)
        )
        self.ends = nn.ModuleList(End(behind()) for _ in range(blocks))
        self.head = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        for start, end in zip(self.starts, self.ends, strict=True):
            x = end(start(x), x) if x.isfinite().all() else x
        return self.head(x)


def test_a_layer_before_a_sum_that_stays_keeps_its_weights() -> None:
    torch.manual_seed(0)
    model = Ended(5, nn.Identity)
    new, changes = selfnorm.convert(model)
    told = left(changes)
    for at, end in enumerate(new.ends):
        assert torch.equal(end.dense.weight, model.ends[at].dense.weight)
        assert "a sum behind it stays as it is" in told[f"ends.{at}.dense"]
        assert not torch.equal(new.starts[at][0].weight, model.starts[at][0].weight)
    new, changes = selfnorm.convert(model, example=X)
    assert not torch.equal(new.ends[0].dense.weight, model.ends[0].dense.weight)
    new, changes = selfnorm.convert(Ended(4, lambda: nn.LayerNorm(8)))  # which takes it back
    assert "sums that stay" in left(changes)["ends.3.behind"]
    assert not any("a sum behind it" in change.why for change in changes)
