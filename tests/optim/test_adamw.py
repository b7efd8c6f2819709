"""AdamW as one call is torch's AdamW."""

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from selfnorm import _torch_private
from selfnorm.errors import ArgumentError
from selfnorm.nn import MLP
from selfnorm.optim import AdamW, keep_orthogonal
from support.compare import assert_close

EPS = torch.finfo(torch.float32).eps


def network(members: int | None = None) -> MLP:
    torch.manual_seed(0)
    return MLP(6, 3, width=16, depth=3, dropout=0.1, members=members)


def train(
    model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 12, clip: float | None = None
) -> Tensor:
    """All parameters after some steps."""
    for step in range(steps):
        torch.manual_seed(step)
        optimizer.zero_grad()
        model(3 * torch.randn(32, 6)).square().mean().backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
    return torch.cat([one.detach().flatten() for one in model.parameters()])


@pytest.fixture(params=["fused", "torch's own", "no kernel", "no hooks"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Options that take one of the ways a step can go."""
    have = _torch_private.look_up()
    if request.param == "no kernel":
        del have["fused_adamw"]
        monkeypatch.setattr(_torch_private, "ways", _torch_private.build(have))
    if request.param == "no hooks":
        monkeypatch.setattr(
            _torch_private, "ways", _torch_private.ways._replace(step_with_hooks=None)
        )
        monkeypatch.setitem(vars(AdamW.step), "hooked", False)
        monkeypatch.setattr(AdamW, "step", AdamW.step)  # torch puts another there
    return {"foreach": True} if request.param == "torch's own" else {}


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("clip", [None, 0.05, 1e6])
def test_it_is_torchs(way: dict[str, Any], clip: float | None, maximize: bool) -> None:
    options: dict[str, Any] = {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1}
    options["maximize"] = maximize
    ours, theirs = network(), network()
    found = train(ours, AdamW(ours.parameters(), **options, max_norm=clip, **way))
    expected = train(theirs, torch.optim.AdamW(theirs.parameters(), **options), clip=clip)
    # Steps of .01 are the same to a few roundings, which the steps behind multiply.
    assert_close(found / expected.abs().max(), expected / expected.abs().max(), 200 * EPS)


def test_each_kind_of_parameter_group() -> None:
    ours, theirs = network(), network()
    for one in (ours, theirs):
        one.linear2.weight.requires_grad_(False)
    found = []
    for model, kind in ((ours, AdamW), (theirs, torch.optim.AdamW)):
        groups = [
            {"params": model.linear1.parameters(), "lr": 0.1, "weight_decay": 0.0},
            {"params": [*model.linear2.parameters(), *model.linear3.parameters()]},
            {"params": model.output.parameters(), "betas": (0.5, 0.9)},
        ]
        found.append(train(model, kind(groups, lr=0.01)))
    assert_close(found[0], found[1], 200 * EPS)


def test_biases_without_decay() -> None:
    model = network()
    optimizer = AdamW(model.parameters(), weight_decay=0.5, decay_biases=False)
    assert [(len(g["params"]), g["weight_decay"]) for g in optimizer.param_groups] == [
        (4, 0.5),
        (4, 0.0),
    ]
    members = network(members=2)
    named = AdamW(members.named_parameters(), decay_biases=False)
    assert [len(group["params"]) for group in named.param_groups] == [4, 4]
    for one in members.parameters():
        one.grad = torch.zeros_like(one)
    members.linear1.bias.data.fill_(1.0)
    before = members.linear1.weight.detach().clone()
    named.step()
    assert torch.equal(members.linear1.bias, torch.ones(2, 16))
    assert_close(members.linear1.weight, before * (1 - 1e-3 * 1e-2), 4 * EPS)


@pytest.mark.parametrize("clip", [None, 0.05])
def test_members_are_trained_as_if_alone(way: dict[str, Any], clip: float | None) -> None:
    model = network(members=3)
    for module in model:
        if hasattr(module, "p"):
            module.p = 0.0
    lr, decay, betas = [1.0, 0.5, 2.0], [0.0, 0.1, 0.5], [(0.9, 0.999), (0.8, 0.9), (0.5, 0.99)]
    alone = [model.member(k) for k in range(3)]
    x = 3 * torch.randn(32, 6)

    def losses(output: Tensor) -> Tensor:
        return output.square().flatten(-2).mean(-1).sum()

    optimizer = AdamW(
        model.parameters(),
        lr=0.01,
        max_norm=clip,
        clip_by_member=clip is not None,
        by_member={"lr": lr, "weight_decay": decay, "betas": betas},
        **way,
    )
    for _ in range(5):
        optimizer.zero_grad()
        losses(model(x)).backward()
        optimizer.step()
    for number, one in enumerate(alone):
        own = torch.optim.AdamW(
            one.parameters(), 0.01 * lr[number], betas[number], weight_decay=decay[number]
        )
        for _ in range(5):
            own.zero_grad()
            losses(one(x)).backward()
            if clip is not None:
                norm = nn.utils.clip_grad_norm_(one.parameters(), clip)
            own.step()
        for name, value in model.member(number).named_parameters():
            assert_close(value, one.get_parameter(name), 2000 * EPS)
        if clip is not None:
            assert optimizer.grad_norm is not None
            assert_close(optimizer.grad_norm[number], norm, 100 * EPS)


def test_one_members_explosion_is_its_own() -> None:
    model = network(members=2)
    optimizer = AdamW(model.parameters(), max_norm=1.0, clip_by_member=True)
    for one in model.parameters():
        one.grad = torch.full_like(one, 1e-3)
        one.grad[1] = 1e20
    optimizer.step()
    assert_close(model.linear1.weight.grad[0], torch.full((16, 6), 1e-3), EPS)
    assert model.linear1.weight.grad[1].norm() < 1


def test_either_loads_the_others_state() -> None:
    model = network()
    optimizer = AdamW(model.parameters())
    train(model, optimizer, 3)
    room = io.BytesIO()
    torch.save(optimizer.state_dict(), room)
    room.seek(0)
    state = torch.load(room, weights_only=True)
    found = []
    for kind in (AdamW, torch.optim.AdamW):
        one = copy.deepcopy(model)
        other = kind(one.parameters())
        other.load_state_dict(copy.deepcopy(state))
        assert {float(each["step"]) for each in other.state.values()} == {3.0}
        found.append(train(one, other, 3))
        assert {float(each["step"]) for each in other.state.values()} == {6.0}
    found.append(train(model, optimizer, 3))
    theirs = torch.optim.AdamW(network().parameters())
    for one in theirs.param_groups[0]["params"]:
        one.grad = torch.ones_like(one)
    theirs.step()
    ours = AdamW(network().parameters())
    ours.load_state_dict(copy.deepcopy(theirs.state_dict()))
    for one in ours.param_groups[0]["params"]:
        one.grad = torch.ones_like(one)
    ours.step()
    theirs.step()
    for one, other in zip(ours.state.values(), theirs.state.values(), strict=True):
        assert_close(one["exp_avg"], other["exp_avg"], 4 * EPS)
        assert float(one["step"]) == float(other["step"]) == 2
    assert_close(found[0], found[1], 200 * EPS)
    assert torch.equal(found[0], found[2])


def test_copies_and_pickles_go_on() -> None:
    model = network()
    optimizer = AdamW(model.parameters(), max_norm=0.05)
    train(model, optimizer, 3)
    both = model, optimizer
    found = []
    for again in (copy.deepcopy(both), pickle.loads(pickle.dumps(both)), both):  # noqa: S301
        found.append(train(*again, 3))
        assert again[1].max_norm == 0.05
        assert again[1].grad_norm is not None
    assert torch.equal(found[0], found[2])
    assert torch.equal(found[1], found[2])


def test_hooks_run_once_and_in_order(way: dict[str, Any]) -> None:
    model, seen = network(), list[str]()
    torch.optim.AdamW(model.parameters())  # torch wraps the step of its own class
    optimizer = AdamW(model.parameters(), **way)
    note: Callable[[str], Any] = lambda what: lambda *_: seen.append(what)  # noqa: E731
    handles = [
        optimizer.register_step_pre_hook(note("before")),
        optimizer.register_step_post_hook(note("after")),
        register_optimizer_step_pre_hook(note("all before")),
        register_optimizer_step_post_hook(note("all after")),
    ]
    train(model, optimizer, 1)
    for handle in handles:
        handle.remove()
    train(model, optimizer, 1)
    assert seen == ["all before", "before", "after", "all after"]


def test_a_subclass_has_its_hooks_once() -> None:
    class Louder(AdamW):
        def step(self, closure: Any = None) -> Any:
            return super().step(closure)

    model, seen = network(), list[str]()
    optimizer = Louder(model.parameters())
    optimizer.register_step_post_hook(lambda *_: seen.append("after"))
    train(model, optimizer, 1)
    assert seen == ["after"]


def test_closures_schedules_and_profiles() -> None:
    model = network()
    optimizer = AdamW(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 4)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = model(torch.ones(4, 6)).square().mean()
        loss.backward()
        return loss

    with torch.profiler.profile() as profile:
        loss = optimizer.step(closure)
    assert loss.requires_grad
    assert "Optimizer.step#AdamW.step" in {event.key for event in profile.key_averages()}
    for _ in range(3):
        schedule.step()
        optimizer.step(closure)
    assert optimizer.param_groups[0]["lr"] < 0.1


def test_gradients_that_come_and_go() -> None:
    ours, theirs = network(), network()
    pair = AdamW(ours.parameters()), torch.optim.AdamW(theirs.parameters())
    for step in range(6):
        torch.manual_seed(step)
        x = torch.randn(8, 6)
        for model, optimizer in zip((ours, theirs), pair, strict=True):
            torch.manual_seed(step)
            optimizer.zero_grad()
            model(x).square().mean().backward()
            if step % 2:
                model.linear1.weight.grad = None
            optimizer.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_close(one, other, 100 * EPS)
    pair[0].state.clear()
    pair[0].step()
    assert {float(state["step"]) for state in pair[0].state.values()} == {1.0}
    pair[0].zero_grad(set_to_none=False)
    assert not any(one.grad.any() for one in ours.parameters() if one.grad is not None)


@pytest.mark.parametrize("by_member", [None, {"lr": [1.0, 1.0]}])
def test_scaled_gradients_are_clipped_as_unscaled_ones(by_member: Any) -> None:
    """And a step whose gradients are not finite is left out."""
    found = []
    for scaled in (False, True):
        model = network(members=2)
        optimizer = AdamW(model.parameters(), max_norm=0.05, by_member=by_member)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, enabled=scaled)
        for step in range(4):
            torch.manual_seed(step)
            optimizer.zero_grad()
            loss = model(torch.randn(8, 6)).square().mean()
            scaler.scale(loss).backward()
            if step == 2 and scaled:
                before = [one.detach().clone() for one in model.parameters()]
                model.linear1.weight.grad[0, 0, 0] = torch.inf
                scaler.step(optimizer)
                scaler.update(1024.0)
                for one, other in zip(model.parameters(), before, strict=True):
                    assert torch.equal(one, other)
                continue
            if step != 2:
                scaler.step(optimizer)
                scaler.update(1024.0 if scaled else None)
        found.append(torch.cat([one.detach().flatten() for one in model.parameters()]))
    assert_close(found[1], found[0], 200 * EPS)


def test_groups_without_parameters_and_embeddings() -> None:
    model = network()
    optimizer = AdamW([{"params": []}, {"params": model.parameters()}], max_norm=1.0)
    train(model, optimizer, 3)
    table = nn.Embedding(4, 2, sparse=True)
    optimizer = AdamW(table.parameters(), max_norm=1.0)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises((RuntimeError, NotImplementedError)):
        optimizer.step()


def test_weights_kept_orthogonal() -> None:
    model = network()
    optimizer = AdamW(model.parameters(), weight_decay=0.0)
    kept = keep_orthogonal(optimizer, model, every=1)
    train(model, optimizer, 5)
    assert kept.corrections == 5


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"max_norm": 0.0}, "max_norm must be a number in \\(0, inf\\]"),
        ({"max_norm": "1"}, "max_norm must be"),
        ({"clip_by_member": True}, "clip_by_member clips to max_norm"),
        ({"clip_by_member": True, "max_norm": 1.0}, "first dimensions \\[3, 16\\]"),
        ({"by_member": {"lr": [1, 2]}}, "first dimensions \\[3, 16\\]"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ArgumentError, match=told):
        AdamW(network().parameters(), **options)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"by_member": {"lr": [1, 2]}}, "a sequence of 3 at any of lr, .* got 'lr' with 2"),
        ({"by_member": {"eps": [1, 2, 3]}}, "got 'eps' with 3"),
        ({"by_member": {"lr": [1, 2, 3]}, "amsgrad": True}, "does not go with amsgrad=True"),
    ],
)
def test_bad_options_by_member_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ArgumentError, match=told):
        AdamW(network(members=3).parameters(), **options)
