"""Convolutions stay orthogonal as operators, and stay convolutions."""

import copy
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from selfnorm.errors import ArgumentError, SelfNormWarning
from selfnorm.init import initialize_, orthogonal_convolution_
from selfnorm.init._matrices import Kernels
from selfnorm.optim import OrthogonalHandle, keep_orthogonal
from selfnorm.optim._correct import gram_error
from selfnorm.optim._frequency import corrected_kernels, sizes_of, spectrum
from selfnorm.optim._stack import stacked
from support.tolerances import ORTHOGONAL


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def plain(depth: int = 6, channels: int = 8, distribution: str = "isometric") -> nn.Sequential:
    layers: list[nn.Module] = []
    for layer in range(depth):
        before = channels if layer else 1
        layers.append(nn.Conv2d(before, channels, 3, padding=1, padding_mode="circular"))
        layers.append(nn.SELU())
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * 36, 2))
    return initialize_(model, distribution=distribution, generator=seeded())  # type: ignore[arg-type]


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    steps: int = 20,
    after: Callable[[], object] = lambda: None,
) -> None:
    for batch in torch.randn(steps, 16, 1, 6, 6, generator=seeded(1)):
        optimizer.zero_grad()
        wanted = batch[:, 0, 0, :2].tanh() * batch[:, 0, 1, :2]
        (model(batch) - wanted).square().mean().backward()
        optimizer.step()
        after()


def started(**options: object) -> tuple[nn.Sequential, torch.optim.Optimizer, OrthogonalHandle]:
    model = plain()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    kept = keep_orthogonal(optimizer, model, convolutions="operators", **options)  # type: ignore[arg-type]
    return model, optimizer, kept


def gains(model: nn.Sequential) -> list[float]:
    """Of images that repeat, `|Wx|^2 / |x|^2` of every convolution but the bias."""
    found: list[float] = []
    for layer in model:
        if isinstance(layer, nn.Conv2d):
            x = torch.randn(8, layer.in_channels, 1, 1, generator=seeded(2)).expand(-1, -1, 6, 6)
            bias = torch.zeros(()) if layer.bias is None else layer.bias.view(-1, 1, 1)
            y = layer(x) - bias
            found += (y.square().mean((1, 2, 3)) / x.square().mean((1, 2, 3))).tolist()
    return found


def test_a_training_stays_within_the_tolerance_and_kernels_stay_kernels() -> None:
    model, optimizer, kept = started()
    assert max(kept.error.values()) < ORTHOGONAL
    start = copy.deepcopy(model.state_dict())
    errors: list[float] = []
    train(model, optimizer, after=lambda: errors.append(max(kept.error.values())))
    assert max(errors) < kept.tolerance
    assert max(abs(gain - 1) for gain in gains(model)) < kept.tolerance
    for name in kept.names:
        weight = model.get_parameter(name).detach()
        assert (weight - start[name]).norm() > 0.02 * weight.norm()
        assert weight[:, :, 1, 1].square().sum() < 0.5 * weight.square().sum()


def test_without_it_they_are_not() -> None:
    model, _, kept = started(every=1)
    train(model, torch.optim.Adam(model.parameters(), lr=3e-3))
    assert max(kept.error.values()) > 1.5 * kept.tolerance


def test_kept_as_matrices_they_amplify() -> None:
    model = plain(distribution="orthogonal")
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    keep_orthogonal(optimizer, model)
    train(model, optimizer)
    assert max(gains(model)) > 1.5


@pytest.mark.parametrize(
    ("make", "inputs"),
    [
        (lambda: nn.Conv1d(6, 6, 5), 6),
        (lambda: nn.Conv1d(4, 6, 2, dilation=2), 4),
        (lambda: nn.Conv2d(6, 4, (2, 3)), 6),
        (lambda: nn.Conv2d(8, 16, 3, groups=2), 8),
        (lambda: nn.Conv3d(3, 5, (2, 3, 1)), 3),
        (lambda: nn.Conv2d(4, 4, 3).to(memory_format=torch.channels_last), 4),
        (lambda: nn.Conv2d(4, 4, 3).double(), 4),
        (lambda: nn.Conv2d(4, 4, 3).bfloat16(), 4),
    ],
)
def test_all_kernels_are_brought_back(make: Callable[[], nn.Module], inputs: int) -> None:
    layer = make()
    model = nn.ModuleDict({"layer": layer, "output": nn.Linear(4, 2)})
    initialize_(model, distribution="isometric", generator=seeded())
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    kept = keep_orthogonal(optimizer, model, every=1, convolutions="operators")
    weight = model.get_parameter("layer.weight")
    strides, size = weight.stride(), weight.square().mean().item()
    change = 0.02 * torch.randn(weight.shape, generator=seeded(1))
    weight.grad = change.to(weight)
    optimizer.step()
    assert max(kept.error.values()) < kept.tolerance
    assert weight.stride() == strides
    assert weight.square().mean().item() == pytest.approx(size, rel=kept.tolerance)


def test_what_has_no_overlapping_windows_is_kept_as_matrices() -> None:
    def trained(convolutions: str, distribution: str) -> dict[str, Tensor]:
        model = nn.Sequential(
            nn.Conv2d(1, 4, 2, stride=2),
            nn.Conv2d(4, 4, 1),
            nn.ConvTranspose2d(4, 4, 2, stride=2),
            nn.Flatten(),
            nn.Linear(144, 2),
        )
        initialize_(model, distribution=distribution, generator=seeded())  # type: ignore[arg-type]
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        keep_orthogonal(optimizer, model, convolutions=convolutions)  # type: ignore[arg-type]
        train(model, optimizer, 5)
        return model.state_dict()

    ends = trained("operators", "isometric"), trained("matrices", "orthogonal")
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


def test_frequencies_hold_the_whole_iteration() -> None:
    """One iteration by frequency is the convolution of kernels, cut to the taps."""
    kernel = torch.randn(1, 3, 3, 4, generator=seeded()).double() / 20
    kernel += orthogonal_convolution_(kernel[0].clone(), generator=seeded())
    matrices = kernel[0].movedim(-1, 0)  # by tap
    cubes = torch.zeros(10, 3, 3).double()
    for i, a in enumerate(matrices):
        for j, b in enumerate(matrices):
            for k, c in enumerate(matrices):
                cubes[(i - j + k) % 10] += a @ b.T @ c
    expected = 1.5 * matrices - 0.5 * cubes[:4]
    found = corrected_kernels(kernel, sizes_of(kernel), tolerance=1e9)
    torch.testing.assert_close(found[0].movedim(-1, 0), expected)


def test_the_grid_finds_nearly_the_largest_error() -> None:
    model, optimizer, kept = started()
    kept.remove()
    train(model, optimizer)
    for index in range(2, 12, 2):
        weight = model[index].weight.detach()[None].double()
        assert isinstance(weight, Tensor)
        fine = gram_error(torch.fft.fft2(weight, s=(60, 60)).flatten(3).movedim(3, 1).flatten(0, 1))
        largest = torch.linalg.eigvalsh(fine).abs().max().item()
        assert kept.error[f"{index}.weight"] <= largest * (1 + ORTHOGONAL)
        assert kept.error[f"{index}.weight"] > largest / 1.1


def test_half_of_the_frequencies_are_all() -> None:
    weight = torch.randn(2, 3, 4, 3, 2, generator=seeded())
    half = torch.linalg.svdvals(spectrum(weight)).unflatten(0, (2, -1))
    whole = torch.linalg.svdvals(torch.fft.fft2(weight, s=(5, 3)).flatten(3).movedim(3, 1))
    torch.testing.assert_close(half.amax(1), whole.amax(1))
    torch.testing.assert_close(half.amin(1), whole.amin(1))


def test_kernels_from_far_away_are_refused_before_anything_is_written() -> None:
    model = plain(distribution="orthogonal")
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.Adam(model.parameters())
    with pytest.raises(
        ArgumentError, match=r"'2\.weight' .*initialize_\(model, distribution=\"iso"
    ):
        keep_orthogonal(optimizer, model, convolutions="operators")
    assert all(torch.equal(value, model.state_dict()[n]) for n, value in before.items())
    assert "selfnorm_keep_orthogonal" not in optimizer.state_dict()


@pytest.mark.parametrize("convolutions", ["both", None, 1])
def test_another_word_is_told(convolutions: object) -> None:
    with pytest.raises(ArgumentError, match=r"kept as 'matrices' or 'operators'; got .* Choose"):
        keep_orthogonal(
            torch.optim.Adam([nn.Parameter(torch.zeros(1))]),
            nn.Linear(1, 1),
            convolutions=convolutions,  # type: ignore[arg-type]
        )


def test_a_large_step_leaves_what_is_not_worse_and_tells_how_far_it_is() -> None:
    model, _, kept = started()
    with torch.no_grad():
        model[2].weight.normal_(generator=seeded())
        model[4].weight.mul_(1.2)
    before = kept.error
    kept.correct()
    assert kept.error["2.weight"] < before["2.weight"]
    assert kept.error["4.weight"] < kept.tolerance


def test_what_is_not_finite_is_told_once_and_left() -> None:
    model, _, kept = started()
    with torch.no_grad():
        model[2].weight[0, 0] = torch.nan
        model[4].weight.mul_(1.2)
    with pytest.warns(SelfNormWarning, match=r"no longer finite and left as they are: 2\.weight\."):
        kept.correct()
    kept.correct()  # a second warning would be an error
    assert kept.error["4.weight"] < kept.tolerance
    assert model[2].weight.isnan().sum() == 9
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", SelfNormWarning)
        for parameter in model.parameters():
            parameter.fill_(torch.inf)
        kept.correct()


def test_a_training_goes_on_after_a_checkpoint_and_is_the_same_every_time() -> None:
    model, optimizer, kept = started()
    train(model, optimizer, 10)
    state = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    train(model, optimizer, 10)
    other, second, again = started()
    other.load_state_dict(state[0])
    second.load_state_dict(state[1])
    train(other, second, 10)
    assert again.interval == kept.interval
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_kernels_of_one_size_are_corrected_together_as_far_as_memory_allows() -> None:
    def kernels(*shape: int) -> Kernels:
        return Kernels(torch.zeros(1, *shape), 1)

    alike = [("a", [kernels(4, 2, 3, 3)]), ("b", [kernels(4, 2, 3, 3)]), ("c", [kernels(4, 6, 3)])]
    assert len(stacked(alike)) == 2
    large = [(name, [kernels(512, 128, 3, 3)]) for name in "abc"]
    assert len(stacked(large)) == 3
