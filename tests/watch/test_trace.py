"""What an audit sees of models of every kind."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import selfnorm
from selfnorm.auditing import Report
from selfnorm.errors import ArgumentError, AuditError, UnsupportedError
from selfnorm.init import initialize_
from selfnorm.recording import Recording
from selfnorm.theory import shaped_selu
from support.networks import Functional, plain, reader, resnet
from support.tolerances import FINITE_WIDTH


def audited(model: nn.Module, inputs: object, **more: object) -> Report:
    torch.manual_seed(0)
    return selfnorm.audit(model, inputs, **more)  # pyright: ignore[reportArgumentType]


def test_functions_are_seen_as_modules_are() -> None:
    report = audited(Functional(), torch.randn(128, 64))
    assert [layer.name for layer in report.layers] == [
        *("first", "selu()", "again", "selu() (use 2)", "again (use 2)", "selu() (use 3)", "head"),
    ]
    assert [layer.inputs for layer in report.layers] == [(k - 1,) for k in range(7)]
    assert report.layers[4].use == 2
    assert report.ok, report


@pytest.mark.parametrize(
    "call",
    [
        torch.selu,
        torch.selu_,
        functional.selu,
        selfnorm.selu,
        lambda x: selfnorm.ops.selu(x, inplace=True),
        lambda x: functional.selu(x, inplace=True),
        nn.SELU(),
        selfnorm.nn.SELU(inplace=True),
        lambda x: selfnorm.selu_alpha_dropout(x, 0.1, training=True),
        lambda x: selfnorm.selu(x, form=shaped_selu(100)),
        selfnorm.nn.SELU(depth=100),
    ],
)
def test_selu_is_selu_however_it_is_called(call: Callable[[Tensor], Tensor]) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(64, 64), nn.Linear(64, 3)
            initialize_(self)

        def forward(self, x: Tensor) -> Tensor:
            return self.two(call(self.one(x)))

    report = audited(Net(), torch.randn(256, 64))
    assert [layer.role for layer in report.layers] == ["linear", "activation", "linear"]
    assert report.layers[1].activation == "selu"
    assert report.ok


@pytest.mark.parametrize("form", [{"depth": 100}, {"bidirectional": True}], ids=str)
@pytest.mark.parametrize("p", [0.0, 0.1])
def test_a_form_of_selu_is_seen(p: float, form: dict[str, Any]) -> None:
    """By the call: what is kept, what is saturated, and what the theory expects behind it."""
    torch.manual_seed(0)
    act = selfnorm.nn.SELUAlphaDropout(p, **form) if p else selfnorm.nn.SELU(True, **form)
    net = initialize_(nn.Sequential(nn.Linear(256, 256), act, nn.Linear(256, 3)))
    layer = audited(net, torch.randn(4096, 256)).layers[1]
    assert (layer.activation, layer.settings["form"]) == ("selu", act.form)
    assert not layer.settings["keeps_output"]
    assert layer.predicted is not None
    assert float(layer.predicted.mean) == pytest.approx(layer.mean, abs=FINITE_WIDTH)
    assert float(layer.predicted.variance) == pytest.approx(layer.variance, rel=FINITE_WIDTH)
    if not p:
        saturated = audited(net, 20 * torch.randn(256, 256)).layers[1].saturated
        assert saturated == 0 if act.form.linear else 0.2 < saturated < 0.6


def test_reshapes_are_passed_over() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 32, 3), nn.SELU(), nn.Flatten(), nn.Unflatten(1, (32, 36)),
        nn.Flatten(), nn.Linear(1152, 3),
    )  # fmt: skip
    report = audited(initialize_(model), torch.randn(32, 3, 8, 8))
    assert [layer.kind for layer in report.layers] == ["Conv2d", "SELU", "Linear"]
    assert report.layers[2].inputs == (1,)


def test_a_parameter_may_stand_in_a_product() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(64, 32) / 8)

        def forward(self, x: Tensor) -> Tensor:
            return torch.selu(x @ self.weight)

    layer = audited(Net(), torch.randn(128, 64)).layers[0]
    (weights,) = layer.weights
    assert (layer.role, weights.name, weights.fan_in) == ("linear", "weight", 64)
    assert len(weights.tau) == 32


def test_recurrent_attention_and_gates_are_named() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(32, 32, batch_first=True)
            self.attention = nn.MultiheadAttention(32, 4, batch_first=True)
            self.gate, self.head = nn.Linear(32, 32), nn.Linear(32, 2)
            initialize_(self)

        def forward(self, x: Tensor) -> Tensor:
            x, _ = self.lstm(x)
            x, _ = self.attention(x, x, x)
            return self.head(x * torch.sigmoid(self.gate(x)))

    report = audited(Net(), torch.randn(32, 6, 32))
    roles = {layer.name: layer.role for layer in report.layers}
    assert roles["lstm"] == "recurrent"
    assert roles["attention"] == "attention"
    assert roles["mul()"] == "product"
    named = " ".join(f.seen for f in report.findings if f.rule == "unknown-layer")
    assert all(word in named for word in ("LSTM: lstm", "MultiheadAttention: attention", "mul()"))
    assert not [f for f in report.findings if f.rule == "wrong-activation"]  # the gate
    taus = [w.tau.mean() for w in report.layers[0].weights]
    assert taus == pytest.approx([1, 1], rel=0.1)  # a gate's two matrices share one sum


def test_what_no_function_shows_is_named_too() -> None:
    class Own(torch.autograd.Function):
        @staticmethod
        def forward(_: object, x: Tensor) -> Tensor:
            return torch.from_numpy(x.numpy()[:, ::-1].copy())

        @staticmethod
        def backward(_: object, gradient: Tensor) -> Tensor:  # pyright: ignore
            return gradient

    class Custom(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return Own.apply(x)  # pyright: ignore

    report = audited(
        nn.Sequential(nn.Linear(64, 64), Custom(), nn.Linear(64, 2)), torch.randn(64, 64)
    )
    assert [(layer.kind, layer.role) for layer in report.layers][1] == ("Custom", "unknown")
    assert report.layers[2].inputs == (1,)
    assert any("Custom: 1" in f.seen for f in report.findings)


def test_scripted_parts_are_named() -> None:
    class Part(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(x) * 2

    with pytest.warns(DeprecationWarning, match="script"):
        part = torch.jit.script(Part())
    report = audited(nn.Sequential(nn.Linear(8, 8), part, nn.Linear(8, 2)), torch.randn(64, 8))
    assert [layer.role for layer in report.layers] == ["linear", "unknown", "linear"]


def test_integer_inputs_and_frozen_parameters() -> None:
    model, tokens = reader()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    report = audited(model, tokens)
    names = [layer.name for layer in report.layers]
    assert names == ["embed", "lstm", "hidden", "relu()", "dropout()", "head"]
    assert all(layer.gradient > 0 for layer in report.layers)
    assert all(w.frozen for layer in report.layers for w in layer.weights)


def test_parallel_and_compiled_models_are_looked_at_from_inside() -> None:
    model, x = plain(), torch.randn(128, 64)
    kinds = [layer.name for layer in audited(model, x).layers]
    assert [layer.name for layer in audited(nn.DataParallel(model), x).layers] == kinds
    compiled = torch.compile(model, backend="eager")
    assert [layer.name for layer in audited(compiled, x).layers] == kinds  # pyright: ignore
    model[0].compile(backend="eager")
    assert [layer.name for layer in audited(model, x).layers] == kinds


def test_inputs_of_every_kind() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = plain()

        def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
            return self.body(x if scale is None else x * scale)

    x, one = torch.randn(128, 64), torch.ones(())
    model = Net()
    found = [
        audited(model, inputs).layers[-1].variance
        for inputs in (x, (x,), (x, one), {"x": x}, {"x": x, "scale": one})
    ]
    assert found == pytest.approx([found[0]] * 5)


def test_a_loader_gives_batches_and_targets() -> None:
    data = torch.utils.data.TensorDataset(torch.randn(96, 64), torch.randint(10, (96,)))
    loader = torch.utils.data.DataLoader(data, batch_size=16)
    report = audited(plain(), loader, loss=functional.cross_entropy)
    assert report.recording.rows == 64  # four batches
    assert report.layers[-1].gradient > 0


def test_model_in_half_precision() -> None:
    report = audited(plain().bfloat16(), torch.randn(256, 64).bfloat16())
    assert {layer.dtype for layer in report.layers} == {"bfloat16"}
    assert report.ok, report


def test_residual_networks_are_followed() -> None:
    model, images = resnet()
    report = audited(model, images)
    additions = [layer for layer in report.layers if layer.role == "addition"]
    assert len(additions) == 4
    assert all(len(layer.inputs) == 2 for layer in additions)


def test_a_model_without_parameters() -> None:
    report = audited(nn.Sequential(nn.SELU(), nn.SELU()), torch.randn(256, 8))
    assert [layer.activation for layer in report.layers] == ["selu", "selu"]
    assert report.layers[0].gradient > 0


def test_a_single_row_and_unbatched_inputs() -> None:
    report = audited(plain(), torch.randn(1, 64))
    assert [f.rule for f in report.findings if f.rule == "small-batch"]
    assert np.isnan(report.layers[0].dead)
    assert audited(plain(), torch.randn(64)).layers[0].shape == (64,)


def test_inside_no_grad_and_inference_mode() -> None:
    model, x = plain(), torch.randn(64, 64)
    with torch.no_grad():
        assert audited(model, x).layers[0].gradient > 0
    with torch.inference_mode():
        assert audited(model, torch.randn(64, 64)).layers[0].gradient > 0


def test_the_same_twice() -> None:
    model, x = selfnorm.nn.MLP(64, 3, depth=3, dropout=0.1), torch.randn(64, 64)
    assert selfnorm.audit(model, x).to_dict() == selfnorm.audit(model, x).to_dict()


@pytest.mark.parametrize(
    ("model", "inputs", "error", "says"),
    [
        (lambda: "net", torch.ones(2, 2), UnsupportedError, "a torch.nn.Module; got str"),
        (plain, np.ones((2, 64)), UnsupportedError, "got ndarray"),
        (plain, torch.ones(0, 64), ArgumentError, r"got \(0, 64\)"),
        (plain, {}, ArgumentError, "got no tensor"),
        (lambda: nn.LazyLinear(3), torch.ones(2, 2), ArgumentError, "lazy parameters"),
        (lambda: plain().to("meta"), torch.ones(2, 64), ArgumentError, "meta device"),
    ],
)
def test_what_cannot_be_audited(
    model: Callable[[], nn.Module], inputs: object, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        selfnorm.audit(model(), inputs)


def test_a_loss_is_a_scalar() -> None:
    with pytest.raises(ArgumentError, match="a scalar tensor"):
        audited(plain(), torch.randn(8, 64), loss=lambda y: y)


def test_strict_raises_with_the_report() -> None:
    model = plain()
    nn.init.kaiming_normal_(model[0].weight)
    with pytest.raises(AuditError, match="wrong-init") as caught:
        audited(model, torch.randn(128, 64), strict=True)
    assert caught.value.report.findings
    assert audited(plain(), torch.randn(128, 64), strict=True).ok


def test_the_package_is_the_function() -> None:
    import inspect

    assert list(inspect.signature(selfnorm.audit).parameters)[:2] == ["model", "inputs"]
    assert isinstance(audited(plain(), torch.randn(8, 64)).recording, Recording)


def test_who_writes_into_a_selu_is_known_after_several_batches() -> None:
    class Writing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.head = (nn.Linear(64, 64) for _ in range(3))
            initialize_(self)

        def forward(self, x: Tensor) -> Tensor:
            x = nn.functional.selu(self.first(x), inplace=True).mul_(1.0)
            return self.head(torch.selu(self.second(x)))

    x = torch.randn(256, 64)
    for inputs in (x, DataLoader(TensorDataset(x, x), 64)):
        found = [f for f in audited(Writing(), inputs).findings if f.rule == "in-place-write"]
        assert [f.seen.split(" (")[0] for f in found] == ["mul()"], inputs
