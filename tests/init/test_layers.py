"""Each layer's claim, measured on torch's own layer: its pre-activations have mean 0, variance 1.

Two measurements. With `exact=True` the layer's linear map, read off from its outputs for unit
vectors, must have rows of sum 0 and sum of squares 1. Otherwise one input of +-1 is enough: each
output is then a sum of normal weights with signs, so outputs that share no weight are independent
and exactly N(0, 1).
"""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from selfnorm.init import initialize_
from support.rounding import unit_bounds
from support.statistics import assert_moments

CONVOLUTIONS = [
    (nn.Conv1d, {"kernel_size": 5}),
    (nn.Conv1d, {"kernel_size": 3, "dilation": 2, "stride": 2, "groups": 2}),
    (nn.Conv2d, {"kernel_size": (3, 2)}),
    (nn.Conv2d, {"kernel_size": 3, "groups": 4}),
    (nn.Conv3d, {"kernel_size": 2, "dilation": (1, 2, 1)}),
    (nn.Conv3d, {"kernel_size": (1, 2, 3), "groups": 2}),
]
TRANSPOSED = [
    (nn.ConvTranspose1d, {"kernel_size": 4, "stride": 2, "padding": 1}),
    (nn.ConvTranspose1d, {"kernel_size": 3, "stride": 2, "output_padding": 1}),
    (nn.ConvTranspose1d, {"kernel_size": 5, "stride": 3, "dilation": 2, "groups": 2}),
    (nn.ConvTranspose1d, {"kernel_size": 4, "stride": 4, "dilation": 6}),
    (nn.ConvTranspose1d, {"kernel_size": 2, "stride": 3}),
    (nn.ConvTranspose2d, {"kernel_size": 3}),
    (nn.ConvTranspose2d, {"kernel_size": 4, "stride": 2, "groups": 2}),
    (nn.ConvTranspose2d, {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1}),
    (nn.ConvTranspose2d, {"kernel_size": (3, 5), "stride": (2, 1), "dilation": (3, 2)}),
    (nn.ConvTranspose3d, {"kernel_size": 3, "stride": 2, "output_padding": (0, 1, 0)}),
    (nn.ConvTranspose3d, {"kernel_size": 2, "stride": (1, 2, 3), "groups": 2}),
]


def labels(cases) -> list[str]:
    return [
        f"{kind.__name__}-" + "-".join(f"{name}={value}" for name, value in options.items())
        for kind, options in cases
    ]


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def signs(*shape: int) -> Tensor:
    return torch.randint(0, 2, shape, generator=seeded()).double() * 2 - 1


def assert_exact(rows: Tensor, terms: int, tau: float = 1.0) -> None:
    omega_bound, tau_bound = unit_bounds(terms, rows.dtype, tau)
    for row in rows.reshape(rows.shape[0], -1).tolist():
        assert abs(math.fsum(row)) <= omega_bound
        assert abs(math.fsum(w * w for w in row) - tau) <= tau_bound


def linear_map(layer: nn.Module, *shape: int) -> Tensor:
    """The layer's matrix, with the output's shape in front and the input flattened."""
    vectors = torch.eye(math.prod(shape), dtype=torch.float64).reshape(-1, *shape)
    return layer(vectors).detach().movedim(0, -1).contiguous()


def input_length(layer: nn.Module) -> int:
    """Long enough for one period of outputs that all their taps reach."""
    spans = zip(layer.kernel_size, layer.stride, layer.dilation, strict=True)
    return max(2 + math.ceil(d * (k - 1) / s) for k, s, d in spans)


def one_period(layer: nn.Module, length: int, outputs: torch.Size) -> list[slice]:
    """As many interior outputs as the stride, in each dimension: every phase once."""
    periods = []
    for k, s, d, p, o in zip(
        layer.kernel_size, layer.stride, layer.dilation, layer.padding, outputs, strict=True
    ):
        start, stop = max(d * (k - 1) - p, 0), min(s * (length - 1) + 1 - p, o)
        assert stop - start >= s
        periods.append(slice(start, start + s))
    return periods


def reached(layer: nn.Module) -> float:
    """The share of output positions that any tap reaches, counted residue by residue."""
    return math.prod(
        len({d * tap % s for tap in range(k)}) / s
        for k, s, d in zip(layer.kernel_size, layer.stride, layer.dilation, strict=True)
    )


@pytest.mark.parametrize("layer", [nn.Linear(7, 5), nn.Linear(2, 3)], ids=str)
def test_linear_exact(layer: nn.Linear) -> None:
    initialize_(layer.double(), exact=True, generator=seeded())
    rows = linear_map(layer, layer.in_features)
    assert_exact(rows, layer.in_features)


def test_linear_random() -> None:
    layer = initialize_(nn.Linear(9, 20_000).double(), generator=seeded())
    assert_moments(layer(signs(9)).detach())


@pytest.mark.parametrize(("kind", "options"), CONVOLUTIONS, ids=labels(CONVOLUTIONS))
def test_convolution_exact(kind, options) -> None:
    layer = initialize_(kind(4, 8, **options).double(), exact=True, generator=seeded())
    dims = layer.weight.ndim - 2
    rows = linear_map(layer, 4, *[4 if dims == 3 else 6] * dims)
    terms = 4 // layer.groups * math.prod(layer.kernel_size)
    assert (rows != 0).sum(-1).unique().tolist() == [terms]
    assert_exact(rows.flatten(0, -2), terms)


@pytest.mark.parametrize(("kind", "options"), CONVOLUTIONS, ids=labels(CONVOLUTIONS))
def test_convolution_random(kind, options) -> None:
    layer = initialize_(kind(4, 20_000, **options).double(), generator=seeded())
    extent = [d * (k - 1) + 1 for k, d in zip(layer.kernel_size, layer.dilation, strict=True)]
    assert_moments(layer(signs(1, 4, *extent)).detach())


@pytest.mark.parametrize(("kind", "options"), TRANSPOSED, ids=labels(TRANSPOSED))
def test_transposed_convolution_is_exact_at_every_position_that_a_tap_reaches(
    kind, options
) -> None:
    layer = initialize_(kind(4, 2, **options).double(), exact=True, generator=seeded())
    length, dims = input_length(layer), layer.weight.ndim - 2
    rows = linear_map(layer, 4, *[length] * dims)
    rows = rows[(slice(None), *one_period(layer, length, rows.shape[1:-1]))].flatten(0, -2)
    used = rows[(rows != 0).any(-1)]
    assert len(used) == round(len(rows) * reached(layer))
    assert_exact(used, terms=4 * math.prod(layer.kernel_size))


@pytest.mark.parametrize(("kind", "options"), TRANSPOSED, ids=labels(TRANSPOSED))
def test_transposed_convolution_has_variance_1_in_every_phase(kind, options) -> None:
    channels = 3000
    layer = initialize_(kind(4, channels, **options).double(), generator=seeded())
    length, dims = input_length(layer), layer.weight.ndim - 2
    output = layer(signs(1, 4, *[length] * dims)).detach()[0]
    period = output[(slice(None), *one_period(layer, length, output.shape[1:]))]
    # One period meets every tap once, so no two of its positions share a weight.
    phases = [phase for phase in period.flatten(1).T if phase.any()]
    assert len(phases) == round(math.prod(layer.stride) * reached(layer))
    for phase in phases:
        assert_moments(phase)
    assert_moments(torch.stack(phases))


def test_torchs_fan_in_of_a_transposed_convolution_is_another() -> None:
    layer = nn.ConvTranspose2d(64, 8, kernel_size=4, stride=2)
    output = initialize_(layer, generator=seeded()).weight
    assert_moments(output.detach() * math.sqrt(64 * 2 * 2))
    nn.init.kaiming_normal_(layer.weight, nonlinearity="linear", generator=seeded())
    assert_moments(layer.weight.detach() * math.sqrt(8 * 4 * 4))  # of the output's channels


def test_bilinear() -> None:
    layer = initialize_(nn.Bilinear(5, 4, 20_000).double(), generator=seeded())
    assert_moments(layer(signs(5), signs(2, 4)[1]).detach())
    layer = initialize_(nn.Bilinear(5, 4, 3).double(), exact=True, generator=seeded())
    one, two = (torch.eye(size).double() for size in (5, 4))
    pairs = [layer(a, b).detach() for a, b in itertools.product(one, two)]
    assert_exact(torch.stack(pairs, dim=1), 20)


@pytest.mark.parametrize("kind", [nn.Embedding, nn.EmbeddingBag])
@pytest.mark.parametrize("padding", [None, 0, 3, -1])
def test_embedding_rows_have_variance_1_and_the_padding_row_is_zero(kind, padding) -> None:
    tokens = [token for token in range(1000) if padding is None or token != padding % 1000]
    layer = kind(1000, 20, padding_idx=padding)
    initialize_(layer, generator=seeded())
    assert_moments(layer.weight[tokens].detach())
    assert len(tokens) == 1000 or not layer.weight[padding].any()
    initialize_(layer.double(), exact=True, generator=seeded())
    assert_exact(layer.weight[tokens].detach(), 20, tau=20.0)
    assert len(tokens) == 1000 or not layer.weight[padding].any()


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("kind", [nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_cell_gates_sum_input_and_state_to_variance_1(kind, exact: bool) -> None:
    inputs, states = 24, 100 if exact else 1500  # moments need many units
    cell = initialize_(kind(inputs, states).double(), exact=exact, generator=seeded())
    x, h = signs(inputs), signs(2, states)[1]
    gates = nn.functional.linear(x, cell.weight_ih, cell.bias_ih)
    gates = gates + nn.functional.linear(h, cell.weight_hh, cell.bias_hh)
    if exact:
        total = inputs + states
        assert_exact(cell.weight_ih.detach(), inputs, tau=inputs / total)
        assert_exact(cell.weight_hh.detach(), states, tau=states / total)
    else:
        for gate in gates.detach().chunk(gates.numel() // states):
            assert_moments(gate)
        if kind is nn.RNNCell:
            assert_moments(cell(x, h).atanh().detach())


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"bias": False}], ids=str)
def test_recurrent_layers_initialize_every_layer_and_direction(kind, options) -> None:
    layer = nn.LSTM if kind is nn.LSTM else kind
    model = layer(10, 40, num_layers=3, **options)
    initialize_(model, generator=seeded())
    assert_gates(model, state=40)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_lstm_with_projection(bidirectional: bool) -> None:
    model = nn.LSTM(10, 40, num_layers=2, proj_size=12, bidirectional=bidirectional)
    initialize_(model, generator=seeded())
    assert_gates(model, state=12)
    projections = [p for name, p in model.named_parameters() if "weight_hr" in name]
    assert len(projections) == 2 * (1 + bidirectional)
    for weight in projections:
        assert_moments(weight.detach() * math.sqrt(40))


def assert_gates(model: nn.RNNBase, state: int) -> None:
    parameters = dict(model.named_parameters())
    names = [name for name in parameters if name.startswith("weight_ih")]
    assert len(names) == model.num_layers * (1 + model.bidirectional)
    for name in names:
        read, kept = parameters[name], parameters[name.replace("ih", "hh")]
        first = name.startswith("weight_ih_l0")
        assert read.shape[1] == (10 if first else state * (1 + model.bidirectional))
        assert kept.shape[1] == state
        joint = torch.cat([read, kept], dim=1).detach()
        assert_moments(joint * math.sqrt(joint.shape[1]))
    assert not any(p.any() for name, p in parameters.items() if "bias" in name)


@pytest.mark.parametrize("sizes", [{}, {"kdim": 5, "vdim": 11}], ids=["packed", "separate"])
def test_attention_projects_queries_keys_and_values_to_variance_1(sizes) -> None:
    layer = nn.MultiheadAttention(2000, 4, add_bias_kv=True, dtype=torch.float32, **sizes)
    initialize_(layer, generator=seeded())
    if sizes:
        weights = [layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight]
    else:
        weights = list(layer.in_proj_weight.chunk(3))
    for weight in [*weights, layer.out_proj.weight]:
        assert_moments((weight @ signs(weight.shape[1]).float()).detach())
    assert_moments(layer.bias_k.detach())
    assert_moments(layer.bias_v.detach())
    assert not layer.in_proj_bias.any()
    assert not layer.out_proj.bias.any()


@pytest.mark.parametrize("sizes", [{}, {"kdim": 5, "vdim": 11}], ids=["packed", "separate"])
def test_attention_exact(sizes) -> None:
    layer = nn.MultiheadAttention(12, 4, add_bias_kv=True, dtype=torch.float64, **sizes)
    initialize_(layer, exact=True, generator=seeded())
    for name, weight in layer.named_parameters():
        if weight.ndim == 2:
            assert_exact(weight.detach(), weight.shape[1])
        elif name in ("bias_k", "bias_v"):
            assert_exact(weight.detach(), 12, tau=12.0)


@pytest.mark.parametrize(
    "layer",
    [
        nn.BatchNorm1d(4),
        nn.BatchNorm2d(4, affine=False),
        nn.BatchNorm3d(4, track_running_stats=False),
        nn.SyncBatchNorm(4),
        nn.InstanceNorm1d(4, affine=True, track_running_stats=True),
        nn.InstanceNorm2d(4),
        nn.LayerNorm(4),
        nn.LayerNorm(4, bias=False),
        nn.GroupNorm(2, 4),
        nn.RMSNorm(4),
        nn.PReLU(4, init=0.1),
    ],
    ids=str,
)
def test_normalization_goes_back_to_its_default(layer: nn.Module) -> None:
    default = {name: value.clone() for name, value in layer.state_dict().items()}
    for value in layer.state_dict().values():
        value.copy_(value * 3 + 1)
    initialize_(layer)
    for name, value in layer.state_dict().items():
        assert torch.equal(value, default[name]), name


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_biases_are_zero(distribution) -> None:
    layers = [
        nn.Linear(3, 4),
        nn.Conv2d(2, 4, 3),
        nn.ConvTranspose1d(2, 4, 3),
        nn.Bilinear(2, 3, 4),
        nn.LSTM(2, 3),
        nn.GRUCell(2, 3),
    ]
    initialize_(nn.ModuleList(layers), distribution=distribution)
    biases = [p for layer in layers for n, p in layer.named_parameters() if "bias" in n]
    assert len(biases) == 8
    assert not any(bias.any() for bias in biases)
