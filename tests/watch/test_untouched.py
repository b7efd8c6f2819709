"""An audit leaves no trace, also where the model fails."""

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import selfnorm
from support.networks import NETWORKS


class Failing(nn.Module):
    """Runs, then raises."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *args: Tensor) -> Tensor:
        self.model(*args)
        raise ValueError("broken")


def state_of(model: nn.Module) -> dict[str, object]:
    """Everything that an audit might have touched."""
    hooks = [
        {k: dict(v) for k, v in vars(module).items() if "hook" in k and hasattr(v, "items")}
        for module in model.modules()
    ]
    return {
        "values": {k: v.clone() for k, v in model.state_dict(keep_vars=True).items()},
        "versions": [p._version for p in model.parameters()],
        "gradients": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "frozen": [p.requires_grad for p in model.parameters()],
        "modes": [m.training for m in model.modules()],
        "hooks": [sorted((k, tuple(v)) for k, v in h.items()) for h in hooks],
        "classes": [type(m) for m in model.modules()],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "devices": [p.device for p in model.parameters()],
        "numpy": np.random.get_state()[1].copy(),  # noqa: NPY002
        "python": random.getstate(),
        "grad mode": torch.is_grad_enabled(),
    }


def assert_same(before: object, after: object) -> None:
    if isinstance(before, Tensor):
        assert torch.equal(before, after)  # pyright: ignore[reportArgumentType]
    elif isinstance(before, np.ndarray):
        np.testing.assert_array_equal(before, after)
    elif isinstance(before, dict):
        assert before.keys() == after.keys()
        for key in before:
            assert_same(before[key], after[key])
    elif isinstance(before, list):
        assert len(before) == len(after)
        for one, other in zip(before, after, strict=True):
            assert_same(one, other)
    else:
        assert before == after


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_all_is_as_before(name: str, training: bool, device: torch.device) -> None:
    torch.manual_seed(0)
    model, inputs = NETWORKS[name]()
    model.to(device).train(training)
    next(model.children()).train(not training)
    next(iter(model.parameters())).requires_grad_(False)
    for parameter in list(model.parameters())[1::2]:
        parameter.grad = torch.ones_like(parameter)
    called: list[object] = []
    next(model.children()).register_forward_hook(lambda *_: called.append(1))
    copy, before = inputs.clone(), state_of(model)
    selfnorm.audit(model, inputs)
    assert_same(before, state_of(model))
    assert torch.equal(inputs, copy)
    assert not inputs.requires_grad
    assert called  # the hooks of others run


@pytest.mark.parametrize("name", NETWORKS)
def test_also_after_an_error(name: str, device: torch.device) -> None:
    model, inputs = NETWORKS[name]()
    model = Failing(model.to(device))
    before = state_of(model)
    with pytest.raises(ValueError, match="broken"):
        selfnorm.audit(model, inputs)
    assert_same(before, state_of(model))


def test_an_error_in_the_loss_and_in_the_backward_pass() -> None:
    def wrong(_: Tensor) -> Tensor:
        raise KeyError("loss")

    class Breaking(torch.autograd.Function):
        @staticmethod
        def forward(_: object, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(*_: object) -> Tensor:  # pyright: ignore
            raise RuntimeError("backward")

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return Breaking.apply(self.body(x))  # pyright: ignore

    model, x = Net(), torch.randn(8, 4)
    before = state_of(model)
    for loss, error in ((wrong, KeyError), (None, RuntimeError)):
        with pytest.raises(error):
            selfnorm.audit(model, x, loss=loss)
        assert_same(before, state_of(model))


def test_no_device_is_seeded_but_the_models_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """`torch.manual_seed` would seed every GPU, also those whose state nobody restores."""
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    model = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5))
    selfnorm.audit(model, torch.randn(32, 8))
    selfnorm.convert(model, example=torch.randn(32, 8))
    assert not seeded
    torch.manual_seed(0)
    assert seeded  # or this test would see nothing


def test_writing_embeddings_and_own_generators() -> None:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(10, 8, max_norm=0.1)
            self.generator = torch.Generator().manual_seed(3)

        def forward(self, tokens: Tensor) -> Tensor:
            x = self.embed(tokens)
            return x + torch.randn(x.shape, generator=self.generator) + float(np.random.rand())  # noqa: NPY002

    model = Noisy()
    weights, noise = model.embed.weight.detach().clone(), model.generator.get_state()
    selfnorm.audit(model, torch.randint(10, (32,)))
    assert torch.equal(model.embed.weight, weights)
    assert torch.equal(model.generator.get_state(), noise)


class Spiking(nn.Module):
    """Puts another tensor in a registered buffer's place, as spiking layers do."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(4, 4)
        self.register_buffer("state", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.state = self.body(x) + self.state.mean()
        return self.state


def test_a_buffer_that_a_forward_exchanges_is_the_old_one_again() -> None:
    model, x = Spiking(), torch.randn(32, 4)
    model(x)
    state = model.state
    first, second = selfnorm.audit(model, x), selfnorm.audit(model, x)
    assert model.state is state
    assert [one.variance for one in first.layers] == [one.variance for one in second.layers]


def test_a_model_that_writes_into_its_input() -> None:
    class Writing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            x[:, 0] = 0
            return self.body(x.mul_(2))

    x = torch.randn(64, 8)
    copy = x.clone()
    report = selfnorm.audit(nn.Sequential(nn.ReLU(inplace=True), Writing()), x)
    assert torch.equal(x, copy)
    assert report.layers[-1].gradient > 0
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(x), 16, True, generator=torch.Generator().manual_seed(1)
    )
    state = loader.generator.get_state()
    selfnorm.audit(Writing(), loader)
    assert torch.equal(loader.generator.get_state(), state)


def test_spectral_norm_learns_nothing() -> None:
    make: Callable[..., nn.Module] = nn.utils.parametrizations.spectral_norm
    model = nn.Sequential(make(nn.Linear(16, 16)), nn.SELU(), nn.Linear(16, 2))
    x = torch.randn(64, 16)
    before = state_of(model)
    report = selfnorm.audit(model, x)
    assert_same(before, state_of(model))
    assert report.layers[0].weights


def test_full_backward_hooks_of_others_run_and_torch_warns_as_in_training() -> None:
    """It warns where no input requires a gradient: never of numbers here, always of indices."""
    called: list[nn.Module] = []

    def hook(module: nn.Module, *_: object) -> None:
        called.append(module)

    body, embed = nn.Linear(8, 8), nn.Embedding(10, 8)
    for module in (body, embed):
        module.register_full_backward_hook(hook)
    selfnorm.audit(nn.Sequential(body, nn.SELU()), torch.randn(32, 8))
    with pytest.warns(UserWarning, match="Full backward hook is firing"):
        selfnorm.audit(nn.Sequential(embed, nn.SELU()), torch.randint(10, (32,)))
    assert called == [body, embed]
