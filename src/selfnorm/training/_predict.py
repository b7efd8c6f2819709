"""Outputs without gradients, a batch at a time."""

import torch
from torch import Tensor, nn


def predict(model: nn.Module, inputs: Tensor, *, batch_size: int = 8192) -> Tensor:
    """The model's outputs in eval mode, without gradients, a batch at a time, on its own device."""
    model.eval()
    like = next(model.parameters())
    with torch.inference_mode():
        return torch.cat([model(batch.to(like)) for batch in inputs.split(batch_size)])
