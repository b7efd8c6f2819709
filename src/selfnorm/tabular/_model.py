"""A trained model of a table: encoding, network and target, from table to prediction."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from selfnorm.errors import ArgumentError
from selfnorm.nn import MLP, SELUAlphaDropout, Shape, hidden_widths
from selfnorm.tabular._encode import Encoder
from selfnorm.tabular._table import as_table
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
        if self.dropout == 1:
            raise ArgumentError("dropout must be below 1, where nothing is left; 1 came. Try 0.02.")


@dataclass(frozen=True)
class TabularModel:
    """All that is needed to predict from a table, and all that a model folder holds."""

    encoder: Encoder
    target: Target
    architecture: Architecture
    network: nn.Module

    def predict(self, table: Any) -> Prediction:
        """Predict every row of a table; its columns may stand in any order.

        Args:
            table: A pandas, polars or Arrow table; or an array, if the model learned from one.

        Raises:
            UnsupportedError: `table` is none of these.
            TableError: a column is missing, or holds text where training had numbers.
        """
        inputs = torch.from_numpy(self.encoder.transform(as_table(table)))
        # In float32 a row's prediction would depend, in its last digits, on the rows beside it.
        return self.target.decode(predict(copy.deepcopy(self.network).double(), inputs))


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
