"""Findings of one rule, and weights of a size that is known."""

import torch
from torch import Tensor, nn

import selfnorm
from selfnorm.auditing import Finding

WIDTH, ROWS = 64, 256


def of_rule(model: nn.Module, x: Tensor, rule: str) -> list[Finding]:
    return [found for found in selfnorm.audit(model, x).findings if found.rule == rule]


def drawn(*shape: int, deviation: float) -> Tensor:
    """Normal numbers whose deviation is this one, not only by expectation."""
    numbers = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    return numbers * deviation / numbers.square().mean().sqrt()
