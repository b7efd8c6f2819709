"""Does an audit find fault with networks kept orthogonal as they train, and name others' fault?"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

import selfnorm
from benchmarks._harness import Row, main
from selfnorm.init import initialize_
from selfnorm.optim import keep_orthogonal

BATCH = 64
DATA = {"digits": load_digits, "breast cancer": load_breast_cancer}


class Training(NamedTuple):
    """A plain network, and how it is trained."""

    depth: int
    width: int
    rate: float = 3e-3
    epochs: int = 5


PLAIN = [Training(d, w) for d, w in ((8, 64), (8, 128), (16, 32), (16, 128), (32, 64), (32, 128))]
BIDIRECTIONAL = [Training(16, 64), Training(32, 128)]
SHAPED = [Training(32, 64), Training(100, 64, rate=1e-3)]
FREE = [Training(32, 64, epochs=10), Training(32, 128, epochs=10)]
KEPT: dict[str, tuple[list[Training], Callable[[int], nn.Module]]] = {
    "nn.SELU, depth 8 to 32": (PLAIN, lambda _: nn.SELU()),
    "bidirectional, depth 16 and 32": (
        BIDIRECTIONAL,
        lambda _: selfnorm.nn.SELU(bidirectional=True),
    ),
    "shaped, depth 32 and 100": (SHAPED, lambda depth: selfnorm.nn.SELU(depth=depth)),
}


def measure(quick: bool) -> Iterator[Row]:
    """A row for each kind of kept network, then one for networks of free LeCun weights."""
    data = {name: standard(load) for name, load in DATA.items()}
    for name, (trainings, activation) in KEPT.items():
        found: Counter[str] = Counter()
        audits = 0
        for training in [Training(8, 32, epochs=1)] if quick else trainings:
            for x, y in data.values():
                for report in course(training, activation, x, y, keep=True):
                    found.update(alarms(report))
                    audits += 1
        named = ", ".join(f"{rule} {n}" for rule, n in found.most_common()) or "none"
        yield Row(
            f"kept orthogonal, {name}: errors and warnings in {audits} audits before, during and "
            "after training",
            "",
            f"{sum(found.values())}: {named}",
            "",
            wrong="alarms" if found else "",
        )
    yield left(data, [Training(16, 64, epochs=2)] if quick else FREE)


def left(data: dict[str, tuple[Tensor, Tensor]], trainings: list[Training]) -> Row:
    """LeCun weights that nothing keeps: the variance leaves the box, and the cause is named."""
    out = hits = 0
    largest = 0.0
    for training in trainings:
        for x, y in data.values():
            *_, report = course(training, lambda _: nn.SELU(), x, y, keep=False)
            variances = [layer.variance for layer in report.layers if layer.role == "activation"]
            largest = max(largest, *variances)
            if max(variances) > selfnorm.theory.THEOREM_1.variance[1]:
                out += 1
                hits += "aligned-weights" in alarms(report)
    return Row(
        "LeCun weights, free, depth 32, trained out of theorem 1's box: named aligned-weights",
        "",
        f"{hits} of {out}; variance up to {largest:,.0f}",
        "",
        wrong="" if 0 < hits == out else "not named",
    )


def course(
    training: Training, activation: Callable[[int], nn.Module], x: Tensor, y: Tensor, *, keep: bool
) -> Iterator[selfnorm.auditing.Report]:
    """Audits before, halfway through and after a training by AdamW, its rate falling to 0."""
    torch.manual_seed(0)
    model = network(training, activation, x.shape[1], int(y.max()) + 1)
    initialize_(model, distribution="orthogonal" if keep else "normal")
    optimizer = torch.optim.AdamW(model.parameters(), training.rate, weight_decay=0.0)
    if keep:
        keep_orthogonal(optimizer, model)
    batches = len(x) // BATCH
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, training.epochs * batches)
    yield selfnorm.audit(model, x)
    for epoch in range(1, training.epochs + 1):
        for rows in torch.randperm(len(x))[: batches * BATCH].split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        if epoch in {training.epochs // 2, training.epochs}:
            yield selfnorm.audit(model, x)


def network(
    training: Training, activation: Callable[[int], nn.Module], inputs: int, classes: int
) -> nn.Sequential:
    """Linear layers and activations in turn."""
    widths = [inputs] + [training.width] * training.depth
    layers: list[nn.Module] = []
    for fan_in, units in itertools.pairwise(widths):
        layers += [nn.Linear(fan_in, units), activation(training.depth)]
    return nn.Sequential(*layers, nn.Linear(training.width, classes))


def standard(load: Callable[[], object]) -> tuple[Tensor, Tensor]:
    """Features of mean 0 and variance 1, and classes."""
    found = load()
    x = StandardScaler().fit_transform(found.data)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(found.target)


def alarms(report: selfnorm.auditing.Report) -> set[str]:
    """The rules that find fault."""
    return {finding.rule for finding in report.findings if finding.severity != "note"}


if __name__ == "__main__":
    torch.set_num_threads(1)
    main("trained_alarms", measure)
