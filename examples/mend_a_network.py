"""A network with the usual mistakes: an audit names them, a conversion mends them.

Thirty layers of SELU as they are often written: torch's default weights, plain dropout, a batch
normalization left over, and images of digits scaled to [0, 1].

What one learns: an audit names every one of these, a conversion mends the model in one line, and
nobody but the caller can standardize the data.
"""

from collections import Counter

import torch
from sklearn.datasets import load_digits
from torch import nn

import selfnorm
from selfnorm.auditing import Report


def network(depth: int = 30, width: int = 128) -> nn.Sequential:
    """As many people would write it."""
    layers: list[nn.Module] = [nn.Linear(64, width), nn.BatchNorm1d(width), nn.SELU()]
    for _ in range(depth - 1):
        layers += [nn.Linear(width, width), nn.SELU(), nn.Dropout(0.1)]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def show(name: str, report: Report) -> None:
    """The verdict and the rules; `print(report)` has each finding, with its cause and cure."""
    verdict = "self-normalizing" if report.ok else "NOT self-normalizing"
    print(f"{name}: {verdict}")
    for (severity, rule), count in Counter((f.severity, f.rule) for f in report.findings).items():
        print(f"  {severity:<8} {rule:<24}{count:>3}")
    print(f"  variance behind the last hidden layer: {report.layers[-2].variance:.3f}\n")


def main() -> None:
    """Audit, convert, audit."""
    torch.manual_seed(0)
    images = torch.tensor(load_digits().data / 16, dtype=torch.float32)
    model = network()
    before = selfnorm.audit(model, images)
    show("As it is often written", before)
    assert before.layers[-2].variance < 0.1

    model, changes = selfnorm.convert(model)
    done = ", ".join(f"{number} {kind}" for kind, number in changes.counts().items())
    print(f"selfnorm.convert(model): {done}\n")

    moving = images[:, images.std(0) > 0]  # of 64 pixels, 61 are ever set
    standard = (moving - moving.mean(0)) / moving.std(0)
    model[0] = selfnorm.init.initialize_(nn.Linear(standard.shape[1], 128))
    report = selfnorm.audit(model, standard)
    show("Converted, and the pixels standardized by hand", report)
    assert report.ok
    assert 0.8 < report.layers[-2].variance < 1.25
    print("One line mended the model; its data are the caller's to standardize.")


if __name__ == "__main__":
    main()
