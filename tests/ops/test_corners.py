"""Where kernels do not go: classes of tensors, default devices, checkpoints, extreme p."""

import warnings
from contextlib import nullcontext

import pytest
import torch
import torch.distributed as dist
from torch.autograd import forward_ad
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard, distribute_tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

import selfnorm
from selfnorm.errors import ArgumentError, SelfNormWarning, UnsupportedError
from selfnorm.ops import _constants, alpha_dropout, feature_alpha_dropout, selu, selu_alpha_dropout
from support.compare import assert_close, assert_same
from support.fresh import run_fresh
from support.samples import normal
from support.tolerances import SAME_UP_TO_ROUNDING

FLOAT = SAME_UP_TO_ROUNDING[torch.float32]


@pytest.fixture
def sharded():
    """A tensor over a mesh of one process, and the same as it is."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        x = normal(6, 4)
        mesh = init_device_mesh("cpu", (1,))
        yield distribute_tensor(x, mesh, [Shard(0)]).requires_grad_(), x.requires_grad_()
    finally:
        dist.destroy_process_group()


def test_sharded_tensors_stay_sharded(sharded) -> None:
    shards, x = sharded
    for run in (selu, lambda t: selu(t * 1, inplace=True), lambda t: selu_alpha_dropout(t, 0.5)):
        results = []
        for t in (shards, x):
            t.grad = None
            y = run(t)
            y.sum().backward()
            results.append((y, t.grad))
        (y, gradient), (expected, expected_gradient) = results
        assert isinstance(y, DTensor)
        assert y.placements == shards.placements
        assert_close(y.full_tensor().detach(), expected.detach(), FLOAT)
        assert_close(gradient.full_tensor(), expected_gradient, FLOAT)


# Torch's own, of a mesh of CPUs.
@pytest.mark.filterwarnings("ignore:DTensor random operators:UserWarning")
def test_masks_of_sharded_tensors_are_torch_s(sharded) -> None:
    shards, _ = sharded
    for ours, theirs in (
        (lambda t: alpha_dropout(t, 0.5, True), lambda t: functional.alpha_dropout(t, 0.5, True)),
        (
            lambda t: feature_alpha_dropout(t, 0.5, True),
            lambda t: functional.feature_alpha_dropout(t, 0.5, True),
        ),
        (
            lambda t: selu_alpha_dropout(t, 0.5, True),
            lambda t: functional.alpha_dropout(functional.selu(t), 0.5, True),
        ),
    ):
        torch.manual_seed(0)
        y = ours(shards)
        torch.manual_seed(0)
        assert isinstance(y, DTensor)
        assert_same(y.full_tensor().detach(), theirs(shards).full_tensor().detach())


def test_a_generator_where_torch_s_own_dropout_serves_is_refused(sharded) -> None:
    with pytest.raises(UnsupportedError, match=r"masks come from torch's generator.*Pass None"):
        alpha_dropout(sharded[0], 0.5, True, generator=torch.Generator())


def test_jagged_nested_tensors() -> None:
    parts = [normal(3, 4), normal(2, 4)]
    nested = torch.nested.nested_tensor(parts, layout=torch.jagged, requires_grad=True)
    for y in (selu(nested), selu_alpha_dropout(nested, 0.5), selu(nested * 1, inplace=True)):
        for one, part in zip(y.unbind(), parts, strict=True):
            assert_close(one.detach(), selu(part), FLOAT)
    for dropout in (alpha_dropout, selu_alpha_dropout):
        with pytest.raises(UnsupportedError, match=r"nested_tensor_from_jagged\("):
            dropout(nested, 0.5, True)


def test_what_torch_refuses_is_refused_in_its_words() -> None:
    sparse = normal(3).to_sparse()
    with pytest.raises(NotImplementedError) as theirs:
        torch.selu(sparse)
    with pytest.raises(NotImplementedError) as ours:
        selu(sparse)
    assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_importing_under_another_default_device(device: str) -> None:
    """What is made at import lies on the CPU, so that the reference still serves."""
    code = (
        "import torch\n"
        f"with torch.device('{device}'):\n"
        "    import selfnorm.ops\n"
        "    from selfnorm.ops import _reference, _cpu\n"
        "x, seed = torch.randn(700), torch.tensor(3)\n"
        "torch.ops.selfnorm.selu_alpha_dropout(x, seed, .3)\n"
        "print(_reference.selu_alpha_dropout(x, seed, .3).sum().isfinite().item())"
    )
    assert run_fresh(code) == "True\n"


def test_under_a_default_device_masks_are_drawn_where_the_input_is() -> None:
    with torch.device("meta"):
        y = selu_alpha_dropout(torch.ones(400, device="cpu"), 0.5, True)
    assert y.device.type == "cpu"
    assert len(y.unique()) == 2


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints(reentrant: bool) -> None:
    """Torch's generator is set back for the second forward pass, one's own is not."""
    x = normal(400).requires_grad_()

    def loss(t: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        return selu_alpha_dropout(t, 0.5, True, generator=generator).square().sum()

    torch.manual_seed(0)
    (expected,) = torch.autograd.grad(loss(x, None), x)
    torch.manual_seed(0)
    checkpoint(loss, x, None, use_reentrant=reentrant).backward()
    assert_same(x.grad, expected)
    own = checkpoint(loss, x, torch.Generator(), use_reentrant=reentrant)
    with pytest.raises(UnsupportedError, match=r"set back there.*Pass generator=None"):
        own.backward()


# torch's compiler makes a fake tensor of the input, and asks for its gradient.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_a_checkpoint_of_a_compiled_function() -> None:
    x, own = normal(40).requires_grad_(), torch.Generator()

    def loss(t: torch.Tensor) -> torch.Tensor:
        return alpha_dropout(t, 0.5, True, generator=own) * t

    torch.compiler.reset()
    compiled = torch.compile(loss, backend="eager")
    with pytest.raises(UnsupportedError, match=r"set back there.*Pass generator=None"):
        checkpoint(compiled, x, use_reentrant=False).sum().backward()


def test_forward_mode_of_another_is_no_affair_of_ours() -> None:
    """torch has one level for all threads; without a tangent everything stays as it was."""
    x = normal(400).requires_grad_()
    results = []
    for level in (nullcontext, forward_ad.dual_level):
        with level():
            torch.manual_seed(0)
            y = selu_alpha_dropout(x, 0.3, True)
            results.append((y.detach(), torch.autograd.grad(y.square().sum(), x)[0]))
    for one, other in zip(*results, strict=True):
        assert_same(one, other)


def test_a_hook_that_gives_back_something_else_is_told() -> None:
    """A kernel that trusted it would read foreign memory."""
    x = normal(1 << 16).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda _: torch.zeros(3)):
        y, z = selu(x), selu_alpha_dropout(x, 0.5, True)
    for result in (y, z):
        with pytest.raises(ArgumentError, match=r"got \(65536,\)"):
            torch.autograd.grad(result.sum(), x)


def test_layouts_under_transforms_are_those_of_the_input() -> None:
    x = normal(2, 3, 4, 5).to(memory_format=torch.channels_last)
    for function in (selu, lambda t: alpha_dropout(t, 0.5, True)):
        y, _ = torch.func.jvp(function, (x,), (x,))
        assert y.stride() == x.stride()


@pytest.mark.parametrize(("p", "word"), [(1e-6, "no"), (0.999999, "every")])
def test_a_p_that_drops_nothing_or_all_is_told(p: float, word: str) -> None:
    _constants.affine.cache_clear()
    with pytest.warns(SelfNormWarning, match=rf"got p={p}, which drops {word} unit"):
        alpha_dropout(normal(9), p, True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for exact in (0.0, 1.0, 2e-5, 0.99998):
            alpha_dropout(normal(9), exact, True)


def test_a_module_in_evaluation_takes_what_torch_s_does() -> None:
    for x in (torch.arange(4), normal(4)):
        for module in (selfnorm.nn.AlphaDropout(0.5), selfnorm.nn.FeatureAlphaDropout(0.5)):
            assert module.eval()(x) is x
