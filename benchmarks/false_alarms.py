"""How often does an audit find fault with a network that is right?"""

from collections import Counter
from collections.abc import Callable, Iterator

import torch
from torch import nn

import selfnorm
from benchmarks._harness import Row, main
from selfnorm.init import initialize_

DEPTHS = (2, 4, 8, 16, 32, 64)
WIDTHS = (16, 32, 64, 128, 256, 512, 1024, 2048)
SMALL = 256, 8192  # width, and depth times width, up to which networks are small
QUICK = [(depth, width) for depth in (2, 8) for width in (16, 64)]
ROWS = 256


def plain(depth: int, width: int) -> nn.Module:
    """`selfnorm.nn.MLP`."""
    return selfnorm.nn.MLP(width, 10, width=width, depth=depth)


def dropped(depth: int, width: int) -> nn.Module:
    """The same with the dropout at which gradients keep their size."""
    return selfnorm.nn.MLP(width, 10, width=width, depth=depth, dropout=0.02)


def by_hand(depth: int, width: int) -> nn.Module:
    """Torch's own modules, weights drawn with `nn.init.normal_`."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(width, width), nn.SELU()]
    model = nn.Sequential(*layers, nn.Linear(width, 10))
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
            nn.init.zeros_(layer.bias)
    return model


def uniform(depth: int, width: int) -> nn.Module:
    """LeCun-uniform weights."""
    return initialize_(plain(depth, width), distribution="uniform")


def exact(depth: int, width: int) -> nn.Module:
    """Every unit's weights centered and scaled."""
    return initialize_(plain(depth, width), exact=True)


KINDS: dict[str, Callable[[int, int], nn.Module]] = {
    "selfnorm.nn.MLP": plain,
    "the same, alpha dropout .02": dropped,
    "torch's modules, LeCun by hand": by_hand,
    "LeCun-uniform": uniform,
    "exact weights": exact,
}


def measure(quick: bool) -> Iterator[Row]:
    """A row for each kind of network: first of small ones, in minutes, then of all, in hours.

    All depths and widths: 20 seeds (5 from 1,024 on); small ones: 8.
    """
    small = [(d, w) for d in DEPTHS for w in WIDTHS if w <= SMALL[0] and d * w <= SMALL[1]]
    sizes = {(d, w): 20 if w < 1024 else 5 for d in DEPTHS for w in WIDTHS}
    for name, make in KINDS.items():
        yield judged(name, make, dict.fromkeys(QUICK, 1) if quick else dict.fromkeys(small, 8))
    if not quick:
        for name, make in KINDS.items():
            yield judged(f"{name}, all sizes", make, sizes)


def judged(
    name: str, make: Callable[[int, int], nn.Module], sizes: dict[tuple[int, int], int]
) -> Row:
    """What is found of one kind, of each depth and width with so many seeds."""
    found: Counter[str] = Counter()
    for (depth, width), seeds in sizes.items():
        for seed in range(seeds):
            found += Counter(alarms(make, depth, width, seed))
    audits, wrong = sum(sizes.values()), sum(found.values())
    named = ", ".join(f"{rule} {n}" for rule, n in found.most_common()) or "none"
    return Row(
        f"{name}: errors and warnings in {audits:,} audits",
        "",
        f"{wrong} ({wrong / audits:.2%}): {named}",
        "",
        wrong="" if wrong < 0.01 * audits else "1 % or more",
    )


def alarms(make: Callable[[int, int], nn.Module], depth: int, width: int, seed: int) -> set[str]:
    """The rules that find fault."""
    torch.manual_seed(seed)
    report = selfnorm.audit(make(depth, width), torch.randn(ROWS, width))
    return {finding.rule for finding in report.findings if finding.severity != "note"}


if __name__ == "__main__":
    main("false_alarms", measure)
