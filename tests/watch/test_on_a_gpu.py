"""Audits, conversions and monitors of models on a GPU; where there is none, all are skipped."""

import copy
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import selfnorm
from selfnorm.errors import SelfNormWarning
from support.networks import NETWORKS, plain
from support.require import require
from support.tolerances import FOLDED, MOMENTS_RELATIVE

# What torch says about itself where it compiles.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
require("gpu", None if torch.cuda.is_available() else "torch finds no GPU")


@pytest.mark.parametrize("inputs_on", ["cpu", "cuda"])
def test_figures_are_those_of_the_cpu(inputs_on: str) -> None:
    torch.manual_seed(0)
    model, x = plain(6).double(), torch.randn(512, 64, dtype=torch.float64)
    expected = selfnorm.audit(model, x, loss=lambda out: out.square().mean()).layers
    report = selfnorm.audit(model.to("cuda"), x.to(inputs_on), loss=lambda out: out.square().mean())
    assert report.ok
    for layer, other in zip(report.layers, expected, strict=True):
        assert layer.name == other.name
        for name in ("mean", "variance", "kurtosis", "correlation", "gradient", "gradient_in"):
            assert getattr(layer, name) == pytest.approx(
                getattr(other, name), abs=MOMENTS_RELATIVE, rel=MOMENTS_RELATIVE
            ), name


@pytest.mark.parametrize("name", NETWORKS)
def test_findings_are_those_of_the_cpu_and_are_mended(name: str) -> None:
    torch.manual_seed(0)
    model, inputs = NETWORKS[name]()
    expected = {(f.rule, f.module) for f in selfnorm.audit(model, inputs).findings}
    model.to("cuda")
    assert {(f.rule, f.module) for f in selfnorm.audit(model, inputs).findings} == expected
    new, _ = selfnorm.convert(model, example=inputs)  # of the CPU: moved, as an audit does
    assert all(p.is_cuda for p in (*new.parameters(), *new.buffers()))
    report = selfnorm.audit(new, inputs)
    assert report.ok, report


@pytest.mark.parametrize("layer", [nn.Linear(8, 16), nn.Conv2d(8, 16, 3)])
def test_folding_keeps_the_output(layer: nn.Module) -> None:
    torch.manual_seed(0)
    norm = (nn.BatchNorm1d if isinstance(layer, nn.Linear) else nn.BatchNorm2d)(16)
    model = nn.Sequential(layer, norm).double().cuda()
    x = torch.randn(
        64, 8, *((5, 5) if isinstance(layer, nn.Conv2d) else ()), device="cuda"
    ).double()
    for _ in range(5):
        model(x)
    model.eval()
    new, _ = selfnorm.convert(model, init=None)
    assert torch.allclose(new(x), model(x), rtol=FOLDED[torch.float64], atol=FOLDED[torch.float64])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model, x = plain(8), torch.randn(1024, 64, device="cuda")
    report = selfnorm.audit(model.to("cuda", dtype), x.to(dtype))
    assert report.ok, report
    assert report.layers[0].dtype == str(dtype).removeprefix("torch.")

    class Autocast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = plain(8)

        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast("cuda", dtype=dtype):
                return self.body(x)

    report = selfnorm.audit(Autocast().cuda(), x)
    assert report.ok, report
    assert report.layers[0].dtype == str(dtype).removeprefix("torch.")


def test_wrapped_models() -> None:
    torch.manual_seed(0)
    model, x = plain(4).cuda(), torch.randn(512, 64)
    expected = [layer.variance for layer in selfnorm.audit(model, x).layers]
    for wrapped in (nn.DataParallel(model), torch.compile(model)):
        found = selfnorm.audit(wrapped, x).layers
        assert [layer.variance for layer in found] == expected


def test_a_model_on_two_devices() -> None:
    class Split(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(50, 64)
            self.body = plain(3).cuda()

        def forward(self, tokens: Tensor) -> Tensor:
            return self.body(self.table(tokens).cuda() + torch.randn(64, device="cuda"))

    model = Split()
    state, state_there = torch.get_rng_state(), torch.cuda.get_rng_state()
    reports = [selfnorm.audit(model, torch.arange(50).repeat(8)) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(torch.cuda.get_rng_state(), state_there)
    first, second = ([layer.variance for layer in report.layers] for report in reports)
    assert first == second  # the seed is that of both devices


def test_a_monitor_changes_nothing_and_sees_what_an_audit_sees() -> None:
    torch.manual_seed(0)
    model = selfnorm.nn.MLP(64, 3, width=64, depth=4, dropout=0.1).cuda()
    rival = copy.deepcopy(model)
    x = torch.randn(256, 64, device="cuda")

    def train(network: nn.Module) -> list[float]:
        torch.cuda.manual_seed(1)
        optimizer = torch.optim.SGD(network.parameters(), 1e-2)
        losses = []
        for _ in range(6):
            optimizer.zero_grad()
            loss = network(x).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SelfNormWarning)
        with selfnorm.monitor(model, every=2) as monitor:
            losses = train(model)
    assert losses == train(rival)
    frame = monitor.history
    assert sorted(set(frame["step"])) == [0, 2, 4]
    assert np.isfinite(frame["variance"]).all()
    fresh = plain(3).double().cuda()
    x = x.double()
    with selfnorm.monitor(fresh) as monitor:
        fresh(x).sum().backward()
    for record, layer in zip(monitor.records, selfnorm.audit(fresh, x).layers, strict=True):
        assert record.variance == pytest.approx(layer.variance, rel=MOMENTS_RELATIVE)


def test_no_memory_is_held_afterwards() -> None:
    model = nn.Sequential(*(nn.Linear(1024, 1024) for _ in range(8))).cuda()
    x = torch.randn(8192, 1024, device="cuda")
    model(x).sum().backward()
    model.zero_grad()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    torch.autograd.grad(model(x).sum(), list(model.parameters()))
    plain_peak = torch.cuda.max_memory_allocated() - before
    torch.cuda.reset_peak_memory_stats()
    report = selfnorm.audit(model, x, rules=[])
    assert torch.cuda.max_memory_allocated() - before < 1.1 * plain_peak
    assert torch.cuda.memory_allocated() == before
    del report
