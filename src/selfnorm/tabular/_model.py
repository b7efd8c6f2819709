"""A trained model of a table: encoding, network and target, from table to prediction."""

import copy
from dataclasses import dataclass

import pyarrow as pa
import torch
from torch import nn

from selfnorm.nn import MLP, SELUAlphaDropout, Shape, hidden_widths
from selfnorm.tabular._encode import Encoder
from selfnorm.tabular._target import Prediction, Target
from selfnorm.tabular._train import predict


@dataclass(frozen=True)
class Architecture:
    """The hidden part of the network; `selfnorm.nn.MLP` documents each field."""

    width: int
    depth: int
    shape: Shape
    dropout: float

    def __post_init__(self) -> None:
        hidden_widths(self.width, self.depth, self.shape, out_features=1)
        SELUAlphaDropout(self.dropout)  # refuses what is no probability


@dataclass(frozen=True)
class TabularModel:
    """All that is needed to predict from a table, and all that a model folder holds."""

    encoder: Encoder
    target: Target
    architecture: Architecture
    network: nn.Module

    def predict(self, table: pa.Table) -> Prediction:
        """Predict every row of a table; its columns may stand in any order.

        Raises:
            TableError: a column is missing, or holds text where training had numbers.
        """
        inputs = torch.from_numpy(self.encoder.transform(table)).double()
        # In float32 a row's prediction would depend, in its last digits, on the rows beside it.
        network = copy.deepcopy(self.network).double()
        device = next(network.parameters()).device
        return self.target.decode(predict(network, inputs.to(device)))


def build_network(
    encoder: Encoder,
    target: Target,
    architecture: Architecture,
    generator: torch.Generator | None = None,
) -> MLP:
    """The network that fits an encoding and a target, freshly initialized."""
    return MLP(
        len(encoder.features),
        target.outputs,
        width=architecture.width,
        depth=architecture.depth,
        shape=architecture.shape,
        dropout=architecture.dropout,
        generator=generator,
    )
