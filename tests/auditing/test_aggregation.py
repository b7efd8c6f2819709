"""Sums over neighbors: a factor of their own, whoever computes them; the permutations are exact."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import selfnorm
from selfnorm.auditing import Finding
from selfnorm.init import initialize_
from selfnorm.recording import Layer

NODES, WIDTH = 64, 32
Aggregate = Callable[[Tensor, Tensor], Tensor]


class Graph(nn.Module):
    """Three layers, each behind a sum over neighbors; a matrix that is given, or held."""

    def __init__(self, aggregate: Aggregate, held: Tensor | None = None, depth: int = 3) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(depth))
        self.head, self.aggregate = nn.Linear(WIDTH, 3), aggregate
        self.register_buffer("held", held)
        initialize_(self)

    def forward(self, h: Tensor, graph: Tensor | None = None) -> Tensor:
        graph = self.held if graph is None else graph
        for layer in self.layers:
            h = torch.selu(self.aggregate(graph, layer(h)))
        return self.head(h)


def permuted(factor: float) -> Tensor:
    """Each node has one neighbor: the second moment is multiplied by the factor, exactly."""
    torch.manual_seed(0)
    return factor**0.5 * torch.eye(NODES)[torch.randperm(NODES)]


def nodes() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(NODES, WIDTH)


def added(edges: Tensor, h: Tensor) -> Tensor:
    return torch.zeros_like(h).index_add(0, edges[0], 2 * h[edges[1]])


def scattered(edges: Tensor, h: Tensor) -> Tensor:
    places = edges[0][:, None].expand_as(h)
    return torch.zeros_like(h).scatter_reduce(0, places, 2 * h[edges[1]], "sum")


def by_degree(graph: Tensor, h: Tensor) -> Tensor:
    return graph.square().sum(1, keepdim=True) ** -0.5 * (graph @ h)


FOUR = permuted(4.0)
EDGES = FOUR.nonzero().mT
WAYS: dict[str, tuple[Aggregate, Tensor]] = {
    "matmul": (torch.matmul, FOUR),
    "batched": (lambda a, h: torch.bmm(a[None], h[None])[0], FOUR),
    "einsum": (lambda a, h: torch.einsum("uv,vd->ud", a, h), FOUR),
    "transposed": (lambda a, h: torch.einsum("vu,...vd->...ud", a, h), FOUR.mT),
    "normalized inside": (lambda a, h: 2 * (a / a.sum(1, keepdim=True)) @ h, FOUR),
    "sparse": (torch.matmul, FOUR.to_sparse()),
    "sparse.mm": (torch.sparse.mm, FOUR.to_sparse()),
    "index_add": (added, EDGES),
    "scatter_reduce": (scattered, EDGES),
}


def audited(model: nn.Module, *inputs: Tensor) -> tuple[list[Layer], list[Finding]]:
    report = selfnorm.audit(model, inputs)
    return (
        [layer for layer in report.layers if layer.role == "aggregation"],
        [finding for finding in report.findings if finding.rule == "aggregation"],
    )


@pytest.mark.filterwarnings("ignore:Sparse CSR:UserWarning")
@pytest.mark.parametrize("held", [False, True], ids=["given", "held"])
@pytest.mark.parametrize("way", WAYS)
def test_however_neighbors_are_summed_the_factor_is_told(way: str, held: bool) -> None:
    aggregate, graph = WAYS[way]
    model = Graph(aggregate, graph if held else None, depth=1)
    layers, findings = audited(model, nodes(), *([] if held else [graph]))
    assert [layer.inputs for layer in layers] in ([(0,)], [(1,)])  # of the linear layer, or 2 * it
    (finding,) = findings
    assert "is 4 times" in finding.seen
    assert "gives by 0.5;" in finding.fix


@pytest.mark.parametrize("factor", [0.6, 1.0, 1.9])
def test_a_factor_near_one_is_let_be(factor: float) -> None:
    layers, findings = audited(Graph(torch.matmul, depth=1), nodes(), permuted(factor))
    assert len(layers) == 1
    assert not findings


def test_a_small_factor_is_named_where_the_variance_drifts() -> None:
    report = selfnorm.audit(Graph(torch.matmul, depth=6), (nodes(), permuted(1.9)))
    (drift,) = (finding for finding in report.findings if finding.rule == "variance-drift")
    assert "matmul() multiplies the second moment by 1.9" in drift.why
    assert "Multiply what matmul() gives by 0.725" in drift.fix


def test_what_is_mended_as_told_is_right() -> None:
    unlike = torch.linspace(1, 3, NODES)[:, None] * FOUR
    for mended, graph in (
        (lambda a, h: 0.5 * (a @ h), FOUR),
        (lambda a, h: a @ (h / 2), FOUR),
        (by_degree, unlike),
    ):
        report = selfnorm.audit(Graph(mended, depth=6), (nodes(), graph))
        assert report.ok, report


def test_an_activation_before_a_sum_is_no_gate() -> None:
    class Before(Graph):
        def forward(self, h: Tensor, graph: Tensor | None = None) -> Tensor:
            return self.head(graph @ self.layers[0](h).relu())

    report = selfnorm.audit(Before(torch.matmul, depth=1), (nodes(), permuted(1.0)))
    assert "wrong-activation" in {finding.rule for finding in report.findings}


class Attention(nn.Module):
    """Its matrix is learned."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.value, self.head = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        shares = (self.query(x) @ x.mT).softmax(-1)
        return self.head(torch.selu(shares @ self.value(x)))


class Mixed(nn.Module):
    """Rows are mixed by a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Parameter(3 * torch.randn(NODES, NODES) / NODES**0.5)
        self.body, self.head = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.selu(self.mix @ self.body(x)))


class Projected(nn.Module):
    """Units are mixed by numbers that nobody learns."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("fixed", 3 * torch.randn(WIDTH, WIDTH) / WIDTH**0.5)
        self.body, self.head = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.selu(self.body(x) @ self.fixed))


@pytest.mark.parametrize("make", [Attention, Mixed, Projected])
def test_what_is_no_sum_over_neighbors(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    layers, findings = audited(make(), nodes())
    assert not layers
    assert not findings


def test_edges_are_no_source() -> None:
    """A layer that reads picked rows reads a layer, and not the model's input."""
    report = selfnorm.audit(Graph(lambda e, h: h[e[1]], depth=2), (nodes(), EDGES))
    assert [layer.inputs for layer in report.layers] == [(-1,), (0,), (1,), (2,), (3,)]


class ByDegree(nn.Module):
    """Divides by the root of the degrees, which it counts."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, h: Tensor, graph: Tensor) -> Tensor:
        roots = graph.sum(1, keepdim=True).sqrt()
        return self.two(torch.selu(self.one(h) / roots * 2))


def test_degrees_of_a_regular_graph_are_alike_by_the_data() -> None:
    torch.manual_seed(0)
    report = selfnorm.audit(ByDegree(), (nodes(), FOUR))
    assert "constant-output" not in {finding.rule for finding in report.findings}
