"""What training does to the weights: AdamW, its schedule, and which epoch is kept."""

import math

import pytest
import torch
from torch import Tensor, nn

from selfnorm.errors import ArgumentError
from selfnorm.init import initialize_
from selfnorm.training import Epoch, Options, Rows
from selfnorm.training._loop import train_step
from selfnorm.training._state import State
from support.tolerances import CLIPPED, LEARNING_RATE, ORTHOGONAL


def started(model: nn.Module, steps: int, **changes: object) -> State:
    return State.start(model, Options(**changes), steps, None)


def rows() -> Rows:
    return Rows(torch.linspace(-1, 1, 8)[:, None], torch.ones(8, 1))


def nothing(outputs: Tensor, _: Tensor) -> Tensor:
    """A loss that no weight changes."""
    return 0 * outputs.sum()


def huge(outputs: Tensor, _: Tensor) -> Tensor:
    return 1e6 * outputs.sum()


def epoch(number: int, loss: float) -> Epoch:
    return Epoch(number, loss, math.nan, math.nan, 0.0)


def test_the_learning_rate_falls_to_0_along_a_half_cosine() -> None:
    state = started(nn.Linear(1, 1), steps=12, learning_rate=0.1)
    rates = [state.optimizer.param_groups[0]["lr"]]
    for _ in range(12):
        train_step(state, rows(), nothing)
        rates.append(state.optimizer.param_groups[0]["lr"])
    cosine = [0.05 * (1 + math.cos(math.pi * step / 12)) for step in range(13)]
    assert rates == pytest.approx(cosine, abs=0.1 * LEARNING_RATE, rel=0)


def test_weight_decay_is_decoupled_and_of_weights_and_biases() -> None:
    """AdamW: without a gradient a step shrinks by `lr * decay`, Adam's own would go by the sign."""
    model = nn.Linear(1, 1)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    train_step(started(model, 100, learning_rate=0.1, weight_decay=0.25), rows(), nothing)
    for old, new in zip(before, model.parameters(), strict=True):
        assert torch.equal(new, old * (1 - 0.1 * 0.25))


def test_without_weight_decay_and_gradient_nothing_moves() -> None:
    model = nn.Linear(1, 1)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    train_step(started(model, 100, learning_rate=0.1, weight_decay=0.0), rows(), nothing)
    assert all(torch.equal(o, n) for o, n in zip(before, model.parameters(), strict=True))


def test_gradients_are_clipped_to_norm_1() -> None:
    """A step of Adam hardly shows the size of its gradient; its memory does: 0.1 of the clipped."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1))
    state = started(model, 100)
    train_step(state, rows(), huge)
    held = [state.optimizer.state[p]["exp_avg"] for p in model.parameters()]
    norm = float(torch.cat([moment.flatten() for moment in held]).norm())
    assert norm == pytest.approx(0.1, rel=CLIPPED)
    assert float(nn.utils.get_total_norm([p.grad for p in model.parameters()])) == pytest.approx(
        1, rel=CLIPPED
    )


def test_a_step_is_adamws_on_the_clipped_gradient() -> None:
    torch.manual_seed(0)
    model, like = nn.Linear(1, 1), nn.Linear(1, 1)
    like.load_state_dict(model.state_dict())
    state = started(model, 100, learning_rate=0.1, weight_decay=0.1)
    optimizer = torch.optim.AdamW(like.parameters(), lr=0.1, weight_decay=0.1)
    for loss in (huge, nn.functional.mse_loss):
        rate = state.optimizer.param_groups[0]["lr"]
        train_step(state, rows(), loss)
        optimizer.zero_grad()
        loss(like(rows().inputs), rows().targets).backward()
        nn.utils.clip_grad_norm_(like.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        for ours, theirs in zip(model.parameters(), like.parameters(), strict=True):
            assert torch.equal(ours, theirs)


def test_a_step_gives_the_loss_before_it() -> None:
    model = nn.Linear(1, 1)
    before = nn.functional.mse_loss(model(rows().inputs), rows().targets)
    found = train_step(started(model, 4), rows(), nn.functional.mse_loss)
    assert torch.equal(found, before.detach())
    assert not found.requires_grad


def test_the_epoch_with_the_least_deciding_loss_is_kept_the_first_of_equals() -> None:
    model = nn.Linear(1, 1)
    state = started(model, 4)
    for number, loss in enumerate([3.0, 1.0, 2.0, 1.0, math.nan, math.inf], start=1):
        nn.init.constant_(model.weight, number)
        state.add(epoch(number, loss), loss)
    history = state.finish("epochs")
    assert model.weight.item() == history.best.number == 2
    assert [done.number for done in history.epochs] == [1, 2, 3, 4, 5, 6]
    assert not model.training


def test_without_a_finite_loss_the_weights_are_those_of_the_start() -> None:
    model = nn.Linear(1, 1)
    before = model.weight.detach().clone()
    state = started(model, 4)
    nn.init.constant_(model.weight, 5)
    state.add(epoch(1, math.nan), math.nan)
    assert state.best is None
    history = state.finish("diverged")
    assert torch.equal(model.weight, before)
    assert (history.best.number, history.stop) == (1, "diverged")


def test_hidden_weights_are_kept_orthogonal_and_not_decayed() -> None:
    """The output's are the network's own; after the training nothing follows the optimizer."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 8), nn.SELU(), nn.Linear(8, 8), nn.SELU(), nn.Linear(8, 1))
    state = started(model, 100, learning_rate=0.1, weight_decay=0.25, keep_orthogonal=True)
    decays = {id(p): g["weight_decay"] for g in state.optimizer.param_groups for p in g["params"]}
    assert [decays[id(layer.weight)] for layer in model[::2]] == [0.0, 0.0, 0.25]
    assert {decays[id(layer.bias)] for layer in model[::2]} == {0.25}
    kept = state.kept
    assert kept is not None
    assert kept.names == ["0.weight", "2.weight"]
    for _ in range(5):
        train_step(state, rows(), lambda outputs, targets: (outputs - targets).square().mean())
    assert kept.corrections == 5
    assert max(kept.error.values()) < kept.tolerance
    state.add(epoch(1, 1.0), 1.0)
    state.finish("epochs")
    state.optimizer.step()
    assert kept.corrections == 5


def test_convolutions_are_kept_as_asked() -> None:
    model = nn.Sequential(nn.Conv1d(2, 4, 3), nn.SELU(), nn.Conv1d(4, 1, 3))
    initialize_(model, distribution="orthogonal")
    started(model, 100, keep_orthogonal=True)
    with pytest.raises(ArgumentError, match=r"distribution=\"isometric\""):
        started(model, 100, keep_orthogonal=True, convolutions="operators")
    initialize_(model, distribution="isometric")
    kept = started(model, 100, keep_orthogonal=True, convolutions="operators").kept
    assert kept is not None
    assert max(kept.error.values()) < ORTHOGONAL


def test_keeping_is_true_or_false() -> None:
    with pytest.raises(ArgumentError, match="keep_orthogonal must be True or False; 1 came"):
        Options(keep_orthogonal=1)
