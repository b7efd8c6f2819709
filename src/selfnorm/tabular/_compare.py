"""The same deep plain network, four ways: which of them trains, and what the layers do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from torch import Tensor, nn

from selfnorm.nn import SELUAlphaDropout
from selfnorm.tabular._fit import Prepared, Settings, Trained, seeded, train_network
from selfnorm.tabular._model import Architecture, TabularModel, build_network
from selfnorm.tabular._train import Progress


@dataclass(frozen=True)
class Contender:
    """One way to make a deep plain network: an activation, its initialization, a normalization.

    Where `activation` is None, the network is `selfnorm.nn.MLP`.
    """

    name: str
    activation: type[nn.Module] | None = None
    initialize: Callable[[Tensor], Tensor] = nn.init.xavier_normal_
    batch_norm: bool = False

    @property
    def watched(self) -> type[nn.Module]:
        """The modules whose outputs are the activations."""
        return self.activation or SELUAlphaDropout

    def build(self, ready: Prepared, architecture: Architecture) -> nn.Sequential:
        """The network for prepared rows, of the architecture's width, depth and dropout."""
        if self.activation is None:
            return build_network(ready.encoder, ready.target, architecture)
        layers: list[nn.Module] = []
        fan_in = len(ready.encoder.features)
        for _ in range(architecture.depth):
            layers.append(self._linear(fan_in, architecture.width))
            if self.batch_norm:
                layers.append(nn.BatchNorm1d(architecture.width))
            layers.append(self.activation())
            if architecture.dropout:
                layers.append(nn.Dropout(architecture.dropout))
            fan_in = architecture.width
        return nn.Sequential(*layers, self._linear(fan_in, ready.target.outputs))

    def _linear(self, fan_in: int, units: int) -> nn.Linear:
        layer = nn.Linear(fan_in, units)
        self.initialize(layer.weight)
        nn.init.zeros_(layer.bias)
        return layer


def _he_normal(weight: Tensor) -> Tensor:
    return nn.init.kaiming_normal_(weight, nonlinearity="relu")


CONTENDERS = (
    Contender("SELU + LeCun"),
    Contender("ReLU + He", nn.ReLU, _he_normal),
    Contender("ReLU + He + BatchNorm", nn.ReLU, _he_normal, batch_norm=True),
    Contender("tanh + Xavier", nn.Tanh, nn.init.xavier_normal_),
)


@dataclass(frozen=True)
class Contest:
    """A contender's trained model, and how its training went."""

    contender: Contender
    model: TabularModel
    trained: Trained


def compare(
    ready: Prepared, settings: Settings, progress: Callable[[str], Progress]
) -> Iterator[Contest]:
    """Train every contender on the same rows, from the same seed, for the same epochs.

    All have the width, depth, optimizer and learning rate of the settings, and none stops early.
    A contender whose loss is not finite counts with the weights of its best epoch.

    Args:
        ready: The prepared rows.
        settings: Network and training.
        progress: Gives, for a contender's name, who is told of its training.

    Yields:
        A contest as soon as it is decided; none follow one that Ctrl-C has ended.
    """
    options = replace(settings.options, patience=settings.options.epochs)
    for contender in CONTENDERS:
        with seeded(settings.seed):
            network = contender.build(ready, settings.architecture)
            told = progress(contender.name)
            trained = train_network(network, ready, (contender.watched,), options, told)
        model = TabularModel(ready.encoder, ready.target, settings.architecture, network)
        yield Contest(contender, model, trained)
        if trained.history.stop == "interrupted":
            return
