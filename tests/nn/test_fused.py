"""A sequence that runs as one node computes what its layers compute, and steps aside in time."""

import copy
import gc
import io
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    rule,
    run_state_machine_as_test,
)
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

import selfnorm
from selfnorm.converting import convert, convert_
from selfnorm.nn import (
    MLP,
    SELU,
    AlphaDropout,
    FusedSequential,
    MemberLinear,
    SELUAlphaDropout,
    fuse,
)
from support.compare import assert_close
from support.tolerances import RIVAL_FACTOR, SAME_UP_TO_ROUNDING

DTYPES = (torch.float64, torch.float32, torch.bfloat16)
EXACT = 1e-12  # in float64, relative to the largest


def by_hand(**how: Any) -> nn.Sequential:
    """Pairs of SELU and dropout, another layer between, no bias, and SELU at the end."""
    return FusedSequential(
        *(nn.Linear(5, 8, **how), SELU(), AlphaDropout(0.3), nn.Linear(8, 8, **how), SELU()),
        *(nn.LayerNorm(8, **how), nn.Linear(8, 8, **how), nn.Linear(8, 8, bias=False, **how)),
        *(SELU(inplace=True), nn.Linear(8, 4, **how), SELUAlphaDropout(0.1)),
    )


NETWORKS: dict[str, Callable[..., nn.Sequential]] = {
    "selu": lambda **how: MLP(5, 3, width=16, depth=4, **how),
    "dropout": lambda **how: MLP(5, 3, width=16, depth=4, dropout=0.2, **how),
    "everything dropped": lambda **how: MLP(5, 3, width=16, depth=2, dropout=1.0, **how),
    "shaped": lambda **how: MLP(5, 3, width=16, depth=4, growth=1.05, **how),
    "shaped, dropout": lambda **how: MLP(5, 3, width=16, depth=4, growth=1.05, dropout=0.2, **how),
    "conic": lambda **how: MLP(5, 3, width=32, depth=3, shape="conic", **how),
    "one layer": lambda **how: MLP(5, 1, width=7, depth=1, **how),
    "width one": lambda **how: MLP(1, 1, width=1, depth=3, **how),
    "members": lambda **how: MLP(5, 2, width=8, depth=3, members=3, dropout=0.2, **how),
    "members, shaped": lambda **how: MLP(5, 2, width=8, depth=3, members=3, growth=1.05, **how),
    "members, no bias": lambda **how: FusedSequential(
        MemberLinear(3, 5, 8, False, **how), SELU(), MemberLinear(3, 8, 1, False, **how), SELU()
    ),
    "by hand": by_hand,
    "bidirectional": lambda **how: FusedSequential(
        nn.Linear(5, 8, **how), SELU(bidirectional=True), nn.Linear(8, 8, bias=False, **how)
    ),
}


def is_one(output: Tensor) -> bool:
    """Whether a chain gave it."""
    return "Chain" in type(output.grad_fn).__name__


def by_layers(model: nn.Sequential, *, inplace: bool = True) -> nn.Sequential:
    """The same layers, one by one; SELUs in place, so that their derivative is of the output."""
    if inplace:
        for module in model:
            if isinstance(module, nn.SELU) and getattr(module, "form", None) is None:
                module.inplace = True
    return nn.Sequential(*model)


def gradients(
    model: nn.Module, x: Tensor, weights: Tensor | None = None, seed: int = 1
) -> tuple[Tensor, list[Tensor]]:
    torch.manual_seed(seed)
    output = model(x)
    weights = (
        torch.linspace(-1, 1, output.numel()).view(output.shape) if weights is None else weights
    )
    loss = (output.double() * weights).sum()
    wanted = [t for t in (x, *model.parameters()) if t.requires_grad]
    return output.detach(), list(torch.autograd.grad(loss, wanted))


def made(name: str, dtype: torch.dtype = torch.float64) -> nn.Sequential:
    torch.manual_seed(0)
    model = NETWORKS[name](dtype=dtype)
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return model


def rows(model: nn.Sequential, *shape: int, seed: int = 2) -> Tensor:
    first = model[0]
    assert isinstance(first, nn.Linear | MemberLinear)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(*(shape or (6,)), first.in_features, generator=generator, dtype=torch.float64)
    return x.to(first.weight.dtype).requires_grad_()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_it_is_its_layers(name: str, dtype: torch.dtype, training: bool) -> None:
    model = made(name, dtype).train(training)
    x = rows(model)
    if name != "by hand" or not training:  # its masks are drawn once for a pair
        output, found = gradients(model, x)
        expected, others = gradients(by_layers(model), x)
        assert_same_output(model, output, expected)
        for one, other in zip(found, others, strict=True):
            scale = other.abs().max()
            assert_close(one / (scale or 1), other / (scale or 1), max(EXACT, 8 * eps(dtype)))
    with torch.no_grad():
        torch.manual_seed(1)
        without = model(x)
    torch.manual_seed(1)
    assert torch.equal(without, model(x).detach())


def assert_same_output(model: nn.Sequential, output: Tensor, expected: Tensor) -> None:
    """To the bit; of members to rounding, as torch takes other ways for small batches of them."""
    if isinstance(model[0], MemberLinear):
        assert_close(output, expected, max(EXACT, 8 * eps(output.dtype)))
    else:
        assert torch.equal(output, expected)


def eps(dtype: torch.dtype) -> float:
    return 0.0 if dtype == torch.float64 else torch.finfo(dtype).eps


@pytest.mark.parametrize("name", ["selu", "shaped", "bidirectional"])
def test_in_float32_it_is_as_near_as_torch(name: str) -> None:
    model = made(name, torch.float32)
    x = rows(model, 64)
    exact = gradients(
        by_layers(copy.deepcopy(model).double()), x.detach().double().requires_grad_()
    )
    ours, layers = gradients(model, x), gradients(by_layers(model), x)
    for truth, one, other in zip(exact[1], ours[1], layers[1], strict=True):
        assert (one - truth).norm() <= RIVAL_FACTOR * (other - truth).norm() + 1e-12


@pytest.mark.parametrize("name", ["members", "members, shaped", "members, no bias"])
def test_members_with_inputs_of_their_own(name: str) -> None:
    model = made(name)
    for shape in ((3, 6), (3, 64), (3, 0)):
        x = rows(model, *shape)
        assert is_one(model(x)) == bool(x.numel())
        output, found = gradients(model, x)
        expected, others = gradients(by_layers(model), x)
        assert_same_output(model, output, expected)
        for one, other in zip(found, others, strict=True):
            assert_close(one, other, EXACT)
    with pytest.raises(selfnorm.errors.ArgumentError, match="got \\(2, 6, 5\\) for 3 members"):
        model(rows(model, 2, 6))


@pytest.mark.parametrize("shape", [(0,), (1,), (2, 3), (2, 1, 3), (0, 3)])
def test_any_number_of_rows(shape: tuple[int, ...]) -> None:
    model = made("dropout")
    x = rows(model, *shape)
    torch.manual_seed(1)
    assert is_one(model(x)) == (len(shape) == 1 and x.numel() > 0)  # else a view, or the layers
    output, found = gradients(model, x)
    expected, others = gradients(by_layers(model), x)
    assert torch.equal(output, expected)
    for one, other in zip(found, others, strict=True):
        assert_close(one, other, EXACT)


def test_one_sample_without_rows_and_strides() -> None:
    model = made("selu")
    layers = by_layers(model)
    x = torch.randn(5, dtype=torch.float64)
    assert torch.equal(model(x), layers(x))
    wide = torch.randn(5, 12, dtype=torch.float64).t()
    assert torch.equal(model(wide), layers(wide.contiguous()))  # some BLAS sum a transposed
    assert_close(model(wide), layers(wide), EXACT)  # matrix in another order
    odd = torch.randn(5, 3, 4, dtype=torch.float64).permute(2, 1, 0)
    assert torch.equal(model(odd), layers(odd))


def test_the_gradient_that_comes_in_is_left_as_it_is() -> None:
    model = made("by hand")
    output = model(rows(model))
    given = torch.ones_like(output)
    output.backward(given)
    assert torch.equal(given, torch.ones_like(output))


def test_what_is_kept_is_one_output_a_layer() -> None:
    model = made("dropout")
    kept: list[Tensor] = []

    def pack(x: Tensor) -> Tensor:
        kept.append(x)
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        model(rows(model))
    floats = [x for x in kept if x.is_floating_point()]
    weights = [p.data_ptr() for p in model.parameters()]
    activations = [x for x in floats if x.data_ptr() not in weights]
    assert [x.numel() for x in activations] == [6 * 5, 4 * 6 * 16]


# --- whoever wants the layers one by one -------------------------------------------------------


def test_hooks_see_their_layer() -> None:
    model, seen = made("selu"), list[str]()
    x = rows(model)
    assert is_one(model(x))
    for register in ("register_forward_hook", "register_forward_pre_hook"):
        handle = getattr(model.output, register)(lambda *_, name=register: seen.append(name))
        model(x)
        handle.remove()
    for register in ("register_full_backward_hook", "register_full_backward_pre_hook"):
        handle = getattr(model.output, register)(lambda *_, name=register: seen.append(name))
        model(x).sum().backward()
        handle.remove()
    everywhere = nn.modules.module.register_module_forward_hook(lambda *_: seen.append("all"))
    model(x)
    everywhere.remove()
    assert seen[:4] == [
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_full_backward_hook",
        "register_full_backward_pre_hook",
    ]
    assert seen[4:] == ["all"] * 10  # nine layers and the network
    assert is_one(model(x))


def test_a_method_put_into_a_layer_is_called() -> None:
    model = made("selu")
    x = rows(model)
    model[0].forward = lambda x: torch.zeros(len(x), 16, dtype=x.dtype)
    assert torch.equal(model(x), model(2 * x))


def test_audit_and_monitor_see_all_layers() -> None:
    model = MLP(64, 2, width=64, depth=3)
    report = selfnorm.audit(model, torch.randn(128, 64))
    assert len(report.layers) == 7
    with selfnorm.monitor(model, every=1) as m:
        model(torch.randn(128, 64)).sum().backward()
    assert len(m.history) >= 6


def test_a_layer_that_is_exchanged_or_changed() -> None:
    model = made("selu")
    x = rows(model)
    model.selu1 = nn.ReLU()
    assert torch.equal(model(x), nn.Sequential(*model)(x))
    model.selu1 = SELUAlphaDropout(0.0)
    nn.utils.parametrizations.orthogonal(model.linear2)
    assert torch.equal(model(x), nn.Sequential(*model)(x))
    model.selu2.p = 2.0
    with pytest.raises(selfnorm.errors.ArgumentError):
        model(x)
    model.selu2.p = 0.0
    model.linear3 = nn.Linear(4, 4, dtype=torch.float64)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        model(x)


def test_dtypes_that_differ_are_torchs_to_refuse() -> None:
    model = made("selu")
    with pytest.raises(RuntimeError, match="dtype"):
        model(torch.randn(3, 5))
    model.half()
    assert model(torch.randn(3, 5).half()).dtype == torch.float16


class Sub(Tensor):
    """A class of tensors."""


def test_classes_of_tensors_modes_and_autocast() -> None:
    model = made("dropout", torch.float32)
    x = rows(model).detach()
    assert type(model(x.as_subclass(Sub))) is Sub

    class Named(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            names.append(getattr(func, "__name__", str(func)))
            return func(*args, **(kwargs or {}))

    class Counted(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            names.append(str(func))
            return func(*args, **(kwargs or {}))

    names: list[str] = []
    with Named():
        model(x)
    assert names.count("linear") == 5
    names.clear()
    with Counted():
        model(x)
    assert names.count("aten.addmm.default") == 5
    with torch.autocast("cpu", torch.bfloat16):
        output = model(x)
    assert output.dtype == torch.bfloat16
    assert not is_one(output)


def test_transforms_and_forward_mode() -> None:
    model = made("selu")
    x = rows(model).detach()
    layers = by_layers(model)
    parameters = dict(model.named_parameters())

    def output(values: dict[str, Tensor], inputs: Tensor) -> Tensor:
        return torch.func.functional_call(model, values, (inputs,))

    moved = {name: value * 1.1 for name, value in parameters.items()}
    assert_close(
        output(moved, x), torch.func.functional_call(layers, renamed(moved, layers), (x,)), 0
    )
    jacobian = torch.func.jacrev(lambda inputs: model(inputs).sum(0))(x)
    assert_close(jacobian, torch.func.jacfwd(lambda inputs: model(inputs).sum(0))(x), EXACT)
    each = torch.func.vmap(torch.func.grad(lambda inputs: model(inputs).sum()))(x)
    (together,) = torch.autograd.grad(model(x.requires_grad_()).sum(), x)
    assert_close(each, together, EXACT)
    assert torch.autograd.gradcheck(model, (x,), check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(model, (x,))


def renamed(values: dict[str, Tensor], layers: nn.Module) -> dict[str, Tensor]:
    return dict(zip(dict(layers.named_parameters()), values.values(), strict=True))


def test_second_derivatives_of_weights() -> None:
    for name in ("dropout", "shaped, dropout", "bidirectional", "members"):
        model = made(name)
        x, found = rows(model), []
        for one in (model, by_layers(model)):
            torch.manual_seed(1)
            first = torch.autograd.grad(
                one(x).pow(2).sum(), [x, *model.parameters()], create_graph=True
            )
            penalty = sum((grad.square().sum() for grad in first), torch.zeros(()))
            found.append(torch.autograd.grad(penalty, [x, *model.parameters()], allow_unused=True))
        for one, other in zip(*found, strict=True):
            assert (one is None) == (other is None)
            if one is not None:
                assert_close(one / other.abs().max(), other / other.abs().max(), EXACT)


def test_frozen_and_shared_parameters() -> None:
    for frozen in (["linear1"], ["linear2", "output"], ["linear1", "linear2", "linear3"]):
        model = made("dropout")
        for name in frozen:
            model.get_submodule(name).requires_grad_(False)
        for x in (rows(model), rows(model).detach()):
            _, found = gradients(model, x)
            _, others = gradients(by_layers(model), x)
            for one, other in zip(found, others, strict=True):
                assert_close(one, other, EXACT)
    model = made("selu")
    model.linear3.weight = model.linear2.weight
    model.linear4.bias = model.linear2.bias
    x = rows(model)
    for one, other in zip(gradients(model, x)[1], gradients(by_layers(model), x)[1], strict=True):
        assert_close(one, other, EXACT)
    (first,) = torch.autograd.grad(model(x).sum(), model.linear2.weight, create_graph=True)
    (other,) = torch.autograd.grad(by_layers(model)(x).sum(), model.linear2.weight)
    assert_close(first, other, EXACT)


def test_generators_of_the_layers_are_theirs() -> None:
    def network() -> nn.Sequential:
        torch.manual_seed(0)
        return FusedSequential(
            *(nn.Linear(5, 8), SELUAlphaDropout(0.5, generator=torch.Generator().manual_seed(3))),
            *(nn.Linear(8, 8), SELUAlphaDropout(0.5), nn.Linear(8, 1)),
        )

    x = torch.randn(9, 5)
    torch.manual_seed(1)
    one = network()(x)
    torch.manual_seed(1)
    assert torch.equal(one, nn.Sequential(*network())(x))


# --- graphs, threads, memory -------------------------------------------------------------------


def test_graphs_that_are_kept_crossed_or_left() -> None:
    model = made("dropout")
    x = rows(model)
    torch.manual_seed(1)
    first, second = model(x), model(2 * x)
    torch.manual_seed(1)
    layers = by_layers(model)
    others = layers(x), layers(2 * x)
    for one, other in zip((first, second), others, strict=True):
        assert torch.equal(one, other)
    model(x)  # left
    for _ in range(2):
        for one, other in zip((second, first), reversed(others), strict=True):
            found = torch.autograd.grad(one.sum(), list(model.parameters()), retain_graph=True)
            wanted = torch.autograd.grad(other.sum(), list(model.parameters()), retain_graph=True)
            for a, b in zip(found, wanted, strict=True):
                assert_close(a, b, EXACT)
    first.sum().backward()
    with pytest.raises(RuntimeError, match="second time"):
        first.sum().backward()


@pytest.mark.parametrize("changed", ["weight", "input", "output"])
def test_what_was_changed_since_is_refused(changed: str) -> None:
    model = made("by hand")
    x = rows(model).detach()
    output = model(x)
    with torch.no_grad():
        {"weight": model[3].weight, "input": x, "output": output}[changed].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


@pytest.mark.parametrize("shape", [(6,), (2, 3)])
def test_what_a_linear_layer_gave_may_be_written_over(shape: tuple[int, ...]) -> None:
    model = made("dropout")
    found = []
    for one in (model, by_layers(model)):
        x = rows(model, *shape)
        torch.manual_seed(1)
        found.append(torch.autograd.grad(one(x).mul_(2).exp_().sum(), [x, *model.parameters()]))
    for one, other in zip(*found, strict=True):
        assert_close(one, other, EXACT)


def test_checkpoints_and_hooks_on_what_is_kept() -> None:
    model = made("shaped, dropout")
    x = rows(model)
    _, expected = gradients(model, x)
    for reentrant in (True, False):
        wrapped = lambda x, r=reentrant: checkpoint(model, x, use_reentrant=r)  # noqa: E731
        torch.manual_seed(1)
        output = wrapped(x)
        weights = torch.linspace(-1, 1, output.numel()).view(output.shape)
        for parameter in model.parameters():
            parameter.grad = None
        x.grad = None
        (output * weights).sum().backward()
        for one, other in zip((x, *model.parameters()), expected, strict=True):
            assert_close(one.grad, other, EXACT)
    with torch.autograd.graph.save_on_cpu():
        for one, other in zip(gradients(model, x)[1], expected, strict=True):
            assert_close(one, other, EXACT)
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: t.detach().clone(), lambda t: t.as_subclass(Sub)
    ):
        for one, other in zip(gradients(model, x)[1], expected, strict=True):
            assert_close(one, other, EXACT)


def test_threads_have_their_own() -> None:
    model = made("selu")
    inputs = [rows(model, 50, seed=k).detach() for k in range(8)]
    expected = [gradients(model, x)[1] for x in inputs]
    wrong: list[int] = []

    def work(k: int) -> None:
        for _ in range(20):
            output = model(inputs[k])
            weights = torch.linspace(-1, 1, output.numel()).view(output.shape)
            found = torch.autograd.grad((output.double() * weights).sum(), list(model.parameters()))
            if not all(torch.equal(a, b) for a, b in zip(found, expected[k], strict=True)):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


class Interleaved(RuleBasedStateMachine):
    """Forward and backward passes in any order: each graph has the gradients of its own pass."""

    graphs = Bundle("graphs")

    def __init__(self) -> None:
        super().__init__()
        self.model = made("shaped, dropout")
        self.layers = by_layers(self.model)

    @rule(target=graphs, seed=st.integers(0, 99), count=st.integers(0, 5), training=st.booleans())
    def forward(self, seed: int, count: int, training: bool) -> tuple[Tensor, Tensor, Tensor]:
        self.model.train(training)
        x = rows(self.model, count, seed=seed)
        torch.manual_seed(seed)
        one = self.model(x)
        torch.manual_seed(seed)
        other = self.layers(x)
        assert is_one(one) == (count > 0)
        assert torch.equal(one, other)
        return one, other, x

    @rule(seed=st.integers(0, 99))
    def without_a_graph(self, seed: int) -> None:
        x = rows(self.model, 4, seed=seed)
        with torch.no_grad():
            torch.manual_seed(seed)
            one = self.model(x)
            torch.manual_seed(seed)
            assert torch.equal(one, self.layers(x))

    @rule(graph=graphs)
    def backward_and_keep(self, graph: tuple[Tensor, Tensor, Tensor]) -> None:
        self.compare(graph, retain=True)

    @rule(graph=consumes(graphs))
    def backward(self, graph: tuple[Tensor, Tensor, Tensor]) -> None:
        self.compare(graph, retain=False)

    @rule(graph=consumes(graphs))
    def elsewhere(self, graph: tuple[Tensor, Tensor, Tensor]) -> None:
        thread = threading.Thread(target=self.compare, args=(graph, False))
        thread.start()
        thread.join()

    def compare(self, graph: tuple[Tensor, Tensor, Tensor], retain: bool) -> None:
        one, other, x = graph
        wanted = [x, *self.model.parameters()]
        found = torch.autograd.grad(one.sum(), wanted, retain_graph=retain)
        expected = torch.autograd.grad(other.sum(), wanted, retain_graph=retain)
        for a, b in zip(found, expected, strict=True):
            assert_close(a, b, EXACT)


def test_any_order_of_passes() -> None:
    run_state_machine_as_test(
        Interleaved, settings=settings(max_examples=30, stateful_step_count=25, deadline=None)
    )


def test_nothing_is_left_behind() -> None:
    model = made("dropout")
    x = rows(model)
    model(x).sum().backward()
    gc.collect()
    before = tensors()
    for _ in range(5):
        model(x).sum().backward()
        model(x)
    gc.collect()
    assert tensors() == before


def tensors() -> int:
    return sum(type(thing) in (Tensor, nn.Parameter) for thing in gc.get_objects())


# --- fuse --------------------------------------------------------------------------------------


def test_fuse_exchanges_nothing_but_the_class() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Linear(5, 8), nn.SELU(), nn.AlphaDropout(0.1), nn.Linear(8, 8)
            )
            self.images = nn.Sequential(nn.Conv2d(1, 1, 3), nn.SELU())
            self.rectified = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
            self.linear = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(self.rectified(self.body(x)))

    torch.manual_seed(0)
    model = Model().eval()
    x = torch.randn(4, 5)
    before, state, body = model(x), copy.deepcopy(model.state_dict()), model.body
    assert fuse(model) is model
    assert model.body is body
    assert type(body) is FusedSequential
    assert not body.training
    assert [type(m) for m in (model.images, model.rectified, model.linear)] == [nn.Sequential] * 3
    assert_close(model(x), before, SAME_UP_TO_ROUNDING[torch.float32])
    assert is_one(body(x))
    model.load_state_dict(state)
    assert type(fuse(nn.Sequential(nn.Linear(2, 2), nn.SELU(), nn.Linear(2, 1)))) is FusedSequential


@pytest.mark.parametrize("change", [convert, convert_])
def test_what_a_conversion_gives_can_be_fused(change: Callable[..., Any]) -> None:
    def network() -> nn.Sequential:
        torch.manual_seed(0)
        hidden = [
            layer
            for _ in range(3)
            for layer in (nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1))
        ]
        return nn.Sequential(*hidden, nn.Linear(8, 2))

    x = torch.randn(16, 8)
    torch.manual_seed(1)
    plain, _ = change(network())
    assert type(plain) is nn.Sequential
    torch.manual_seed(1)
    model, _ = change(network(), fuse=True)
    assert type(model) is FusedSequential
    assert sum(type(layer) is nn.Identity for layer in model) == 6
    for one in (plain, model):
        one.train()
    torch.manual_seed(2)
    expected = plain(x)
    torch.manual_seed(2)
    output = model(x)
    assert is_one(output)
    assert torch.equal(output, expected)


def test_masks_of_torchs_dropout_have_its_rate() -> None:
    torch.manual_seed(0)
    model = fuse(
        nn.Sequential(nn.Linear(4, 1000), nn.SELU(), nn.AlphaDropout(0.25), nn.Linear(1000, 1000))
    )
    with torch.no_grad():
        model[3].weight.copy_(torch.eye(1000))
        model[3].bias.zero_()
    output = model(torch.randn(100, 4))
    assert is_one(output)
    dropped = (output == output.min()).double().mean()
    assert abs(dropped - 0.25) < 5 * (0.25 * 0.75 / output.numel()) ** 0.5 + 2**-17


def test_copies_and_files() -> None:
    model = made("dropout")
    x = rows(model)
    room = io.BytesIO()
    torch.save(fuse(nn.Sequential(*model)), room)
    room.seek(0)
    loaded = torch.load(room, weights_only=False)
    for one in (copy.deepcopy(model), loaded):
        torch.manual_seed(1)
        output = one(x)
        assert is_one(output)
        torch.manual_seed(1)
        assert torch.equal(output, model(x))
