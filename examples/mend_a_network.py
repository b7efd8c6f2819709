"""A network with the usual mistakes: an audit names them, a conversion mends them.

Thirty layers of SELU as they are often written: torch's default weights, plain dropout, a batch
normalization left over, and images of digits scaled to [0, 1].

What one learns: which of these matter and why, that a conversion mends the model in one line, and
that nobody but the caller can standardize the data.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

import selfnorm


def network(depth: int = 30, width: int = 128) -> nn.Sequential:
    """As many people would write it."""
    layers: list[nn.Module] = [nn.Linear(64, width), nn.BatchNorm1d(width), nn.SELU()]
    for _ in range(depth - 1):
        layers += [nn.Linear(width, width), nn.SELU(), nn.Dropout(0.1)]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def main() -> None:
    """Audit, convert, audit."""
    torch.manual_seed(0)
    images = torch.tensor(load_digits().data / 16, dtype=torch.float32)
    model = network()
    print(selfnorm.audit(model, images))

    model, changes = selfnorm.convert(model)
    print(changes)

    moving = images[:, images.std(0) > 0]  # of 64 pixels, 61 are ever set
    standard = (moving - moving.mean(0)) / moving.std(0)
    model[0] = selfnorm.init.initialize_(nn.Linear(standard.shape[1], 128))
    report = selfnorm.audit(model, standard)
    print(report)
    assert report.ok


if __name__ == "__main__":
    main()
