"""The same deep plain network, four ways: which of them trains, and what the layers do."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor, nn

from selfnorm._seeded import seeded
from selfnorm.errors import ArgumentError
from selfnorm.nn import SELUAlphaDropout, hidden_widths
from selfnorm.tabular._fit import Prepared, Settings, Trained, check_finite, train_network
from selfnorm.tabular._metrics import measure_model
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
        outputs = ready.target.outputs
        for units in hidden_widths(
            architecture.width, architecture.depth, architecture.shape, outputs
        ):
            layers.append(self._linear(fan_in, units))
            if self.batch_norm:
                layers.append(nn.BatchNorm1d(units))
            layers.append(self.activation())
            if architecture.dropout:
                layers.append(nn.Dropout(architecture.dropout))
            fan_in = units
        return nn.Sequential(*layers, self._linear(fan_in, outputs))

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

    def score(self, ready: Prepared) -> float:
        """The target's score on the test rows; on the validation rows if none are held out."""
        found, _ = measure_model(self.model, ready.test)
        return found.get(ready.target.score_name, self.trained.history.best.validation_score)


def compare(
    ready: Prepared, settings: Settings, progress: Callable[[str], Progress]
) -> list[Contest]:
    """Train every contender on the same rows, from the same seed, for the same epochs.

    All have the width, depth, optimizer and learning rate of the settings, and none stops early.
    A contender whose loss is not finite counts with the weights of its best epoch; the first one,
    SELU, must have such an epoch.

    Args:
        ready: The prepared rows.
        settings: Network and training.
        progress: Gives, for a contender's name, who is told of its training.

    Returns:
        The contests in the order of `CONTENDERS`; fewer if Ctrl-C came, and the one it ended, if
        any of its epochs was done, is the last.

    Raises:
        ArgumentError: there are no rows to compare on, or mini-batches of one row, of which batch
            normalization can take no variance.
        SelfNormError: SELU's loss was never finite.
        KeyboardInterrupt: Ctrl-C came before the first epoch of the first contender was done.
    """
    options = replace(settings.options, patience=settings.options.epochs)
    rows = len(ready.training.inputs)
    if rows // -(-rows // options.batch_rows(rows)) < 2:
        raise ArgumentError(
            "Batch normalization needs mini-batches of two rows or more; some would have one. "
            "Give a larger batch size."
        )
    if ready.validation is None and not len(ready.test.values):
        raise ArgumentError(
            "A comparison needs held-out rows; none are. Give a test share above 0."
        )
    contests: list[Contest] = []
    for contender in CONTENDERS:
        try:
            with seeded(settings.seed, (ready.device,)):
                network = contender.build(ready, settings.architecture)
                told = progress(contender.name)
                trained = train_network(network, ready, (contender.watched,), options, told)
        except KeyboardInterrupt:
            if not contests:
                raise
            break
        if not contests:
            check_finite(trained.history, options)
        model = TabularModel(ready.encoder, ready.target, settings.architecture, network)
        contests.append(Contest(contender, model, trained))
        if trained.history.stop == "interrupted":
            break
    return contests
