"""Several networks of one shape as one: each is what it would be alone."""

import copy
import io

import pytest
import torch
from torch import Tensor, nn

import selfnorm
from selfnorm.errors import ArgumentError
from selfnorm.nn import MLP, MemberLinear, SELUAlphaDropout
from selfnorm.optim import keep_orthogonal
from selfnorm.tabular._distribution import _part
from support.compare import assert_close
from support.require import require
from support.tolerances import EXPORTED, ORTHOGONAL, PROCESSES, SAME_UP_TO_ROUNDING

ROUNDED = SAME_UP_TO_ROUNDING[torch.float32]


def made(**how: object) -> MLP:
    torch.manual_seed(0)
    model = MLP(6, 2, **{"width": 32, "depth": 3, "members": 4} | how)
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return model


@pytest.mark.parametrize("how", [{}, {"weights": "orthogonal", "growth": 1.05}, {"shape": "conic"}])
def test_a_member_alone_predicts_the_same(how: dict[str, object]) -> None:
    model = made(dropout=0.1, **how).eval()
    shared, own = torch.randn(7, 6), torch.randn(4, 7, 6)
    together, apart = model(shared), model(own)
    assert together.shape == apart.shape == (4, 7, 2)
    for k in range(4):
        alone = model.member(k)
        assert type(alone) is MLP
        assert alone.members is None
        assert not alone.training
        assert_close(alone(shared), together[k], ROUNDED)
        assert_close(alone(own[k]), apart[k], ROUNDED)


def test_a_member_has_values_of_its_own() -> None:
    model = made()
    alone = model.member(1)
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        for parameter in alone.parameters():
            parameter.zero_()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert {name: tuple(p.shape) for name, p in alone.named_parameters()} == {
        name: tuple(p.shape) for name, p in MLP(6, 2, width=32, depth=3).named_parameters()
    }


def test_gradients_are_those_of_each_alone() -> None:
    model = made()
    x = torch.randn(4, 9, 6)
    model(x).square().sum().backward()
    for k in range(4):
        alone = model.member(k)
        alone(x[k]).square().sum().backward()
        for one, all_of_them in zip(alone.parameters(), model.parameters(), strict=True):
            assert one.grad is not None
            assert all_of_them.grad is not None
            assert_close(one.grad, all_of_them.grad[k], 8 * ROUNDED)


def test_weights_start_as_of_each_alone() -> None:
    """Mean and variance within 5 deviations; no two members alike; orthogonal one by one."""
    torch.manual_seed(0)
    weight = MLP(200, 2, width=150, depth=1, members=8).linear1.weight.detach()
    count, fan_in = weight[0].numel(), 200
    for one in weight:
        assert abs(one.mean()) < 5 * (1 / fan_in / count) ** 0.5
        assert abs(one.square().mean() * fan_in - 1) < 5 * (2 / count) ** 0.5
    assert not torch.equal(weight[0], weight[1])
    kept = made(weights="orthogonal").linear2.weight.detach()
    for one in kept:
        assert_close(one @ one.T, torch.eye(32), ORTHOGONAL)
    torch.manual_seed(3)
    first = MLP(6, 2, members=2, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(4)
    second = MLP(6, 2, members=2, generator=torch.Generator().manual_seed(1))
    assert torch.equal(first.linear1.weight, second.linear1.weight)
    layer = MemberLinear(3, 50, 40)
    assert abs(layer.weight.var() * 50 - 1) < 5 * (2 / layer.weight.numel()) ** 0.5


def test_masks_differ_by_member() -> None:
    """Between two members' masks of rate p the share of equal units is 1 - 2 p (1 - p)."""
    torch.manual_seed(0)
    model = MLP(6, 2, width=1000, depth=1, members=2, dropout=0.3)
    with torch.no_grad():
        for parameter in model.linear1.parameters():
            parameter.copy_(parameter[:1].expand_as(parameter))
    hidden: list[Tensor] = []
    model.selu1.register_forward_hook(lambda *seen: hidden.append(seen[2]))
    model(torch.randn(20, 6))
    (both,) = hidden
    same = (both[0] == both[1]).double().mean()
    expected = 1 - 2 * 0.3 * 0.7
    assert abs(same - expected) < 5 * (expected * (1 - expected) / both[0].numel()) ** 0.5


def test_every_member_is_kept_orthogonal() -> None:
    model = made(weights="orthogonal", depth=4)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    kept = keep_orthogonal(optimizer, model)
    assert kept.names == [f"linear{k}.weight" for k in range(1, 5)]
    for _ in range(20):
        optimizer.zero_grad()
        model(torch.randn(16, 6)).square().sum().backward()
        optimizer.step()
        assert max(kept.error.values()) < kept.tolerance
    for one in model.linear3.weight.detach():
        sizes = torch.linalg.svdvals(one).square()
        assert (sizes - 1).abs().max() < kept.tolerance


def test_audit_and_monitor_know_it() -> None:
    torch.manual_seed(0)
    model = MLP(64, 2, width=64, depth=4, members=3)
    x = torch.randn(256, 64)
    report = selfnorm.audit(model, x)
    assert not [finding for finding in report.findings if finding.severity != "note"]
    layer = report.layers[2]
    weights = model.linear2.weight.detach().double()
    assert layer.module == "linear2"
    assert layer.weights[0].tau.mean() == pytest.approx(float(weights.square().sum(2).mean()))
    assert len(layer.weights[0].tau) == 3 * 64
    assert layer.data_gain == pytest.approx(layer.second_moment / report.layers[1].second_moment)
    with selfnorm.monitor(model, every=1) as m:
        model(x)
    assert (m.history.kind == "MemberLinear").sum() == 5
    with torch.no_grad():
        model.linear2.weight[1] *= 2
    assert "linear2" in str(selfnorm.audit(model, x))
    assert selfnorm.audit(model.member(0), x).ok
    assert not selfnorm.audit(model.member(1), x).ok


def test_ways_out() -> None:
    model = made(dropout=0.1).eval()
    x = torch.randn(5, 6)
    expected = model(x)
    room = io.BytesIO()
    torch.jit.save(torch.jit.script(model), room)
    room.seek(0)
    assert_close(torch.jit.load(room)(x), expected, ROUNDED)
    program = torch.export.export(model, (x,), strict=False)
    assert_close(program.module()(x), expected, ROUNDED)
    other = made(members=4)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.eval()(x), expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_onnx() -> None:
    try:
        import onnxruntime
    except ImportError:
        require("ways", "onnxruntime is not installed")
        return
    model = made().eval()
    x = torch.randn(5, 6)
    room = io.BytesIO()
    torch.onnx.export(model, (x,), room, dynamo=False)
    session = onnxruntime.InferenceSession(room.getvalue(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    assert_close(torch.from_numpy(found), model(x).detach(), EXPORTED)


def test_what_is_wrong_is_told() -> None:
    model = made()
    for number in (4, -1, 1.0, True):
        with pytest.raises(ArgumentError, match=f"from 0 to 3; {number!r} came"):
            model.member(number)
    with pytest.raises(ArgumentError, match="one network, without members"):
        MLP(2, 1).member(0)
    with pytest.raises(ArgumentError, match="members must be a whole number, 1 or more; 0 came"):
        MLP(2, 1, members=0)
    for shape in ((6,), (3, 5, 6), (1, 4, 5, 6)):
        with pytest.raises(ArgumentError, match="for 4 members"):
            model(torch.randn(shape))
        with pytest.raises(ArgumentError, match="for 4 members"):
            model.linear1(torch.randn(shape))
    meta = MLP(6, 2, members=3, device="meta")
    assert meta.linear1.weight.is_meta
    assert (
        str(model.linear1) == "MemberLinear(members=4, in_features=6, out_features=32, bias=True)"
    )


@pytest.mark.parametrize("weights", ["lecun", "orthogonal"])
@pytest.mark.parametrize(("rows", "width"), [(32, 16), (7, 12)], ids=["blocks", "within blocks"])
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("twice", [False, True])
def test_some_members_draw_the_masks_that_they_have_among_all(
    weights: str, rows: int, width: int, fused: bool, twice: bool
) -> None:
    """As processes do that spread them; gradients too, and those of gradients."""

    def gradients(mine: range) -> list[torch.Tensor]:
        seeds = torch.Generator().manual_seed(0)
        sizes = {"width": width, "depth": 3, "members": 5, "dropout": 0.2, "weights": weights}
        whole = MLP(6, 2, generator=seeds, dtype=torch.float64, **sizes)
        masks = torch.Generator().manual_seed(1)
        for module in whole.modules():
            if isinstance(module, SELUAlphaDropout):
                module.generator = masks
        some = _part(whole, mine).train()
        if not fused:
            some[0].register_forward_hook(lambda *_: None)
        inputs = torch.randn(rows, 5, 6, generator=seeds, dtype=torch.float64).transpose(0, 1)
        targets = torch.randn(5, rows, 2, generator=seeds, dtype=torch.float64)
        losses = []
        for _ in range(2):  # the generator goes on alike
            apart = some(inputs[mine.start : mine.stop]) - targets[mine.start : mine.stop]
            losses.append(apart.square().sum())
        parameters = list(some.parameters())
        first = torch.autograd.grad(sum(losses), parameters, create_graph=twice)
        if not twice:
            return list(first)
        return list(torch.autograd.grad(sum(one.square().sum() for one in first), parameters))

    every = gradients(range(5))
    for mine in (range(2), range(1, 3), range(3, 5)):
        for own, all_of_them in zip(gradients(mine), every, strict=True):
            expected = all_of_them[mine.start : mine.stop]
            torch.testing.assert_close(own, expected, rtol=PROCESSES, atol=PROCESSES)
