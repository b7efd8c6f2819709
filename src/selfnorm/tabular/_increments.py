"""A model that learns from some rows after others: one pass over each, encoded as the first."""

import copy
import math
import time
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch

from selfnorm.errors import SelfNormError
from selfnorm.nn import MLP
from selfnorm.recording import Observation
from selfnorm.tabular._about import about, history_of, layers_of
from selfnorm.tabular._blend import Blend
from selfnorm.tabular._device import torch_device
from selfnorm.tabular._ensemble import Ensemble, Judged
from selfnorm.tabular._evaluation import Evaluation
from selfnorm.tabular._memory import enough_memory
from selfnorm.tabular._model import TabularModel, build_network
from selfnorm.tabular._settings import Settings
from selfnorm.tabular._source import Source, check_known
from selfnorm.tabular._train import drawing_from, masks_from, observed, start_at_mean
from selfnorm.tabular._weights import of_mean_1
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.encoding._target import Target
from selfnorm.tabular.encoding._targets import widened
from selfnorm.training import Batches, Folded, History, Options, Rows, Shuffled
from selfnorm.training._history import Epoch
from selfnorm.training._loop import Loss, train_epoch
from selfnorm.training._state import State

_CONSTANT = 1 << 40  # steps of a schedule, of which the first ones hardly change the rate
_WATCHED_ROWS = 1024


class _Learner(NamedTuple):
    """Networks of one shape, with their optimizer."""

    network: MLP
    options: Options
    state: State
    loss: Loss


@dataclass
class Increments:
    """Networks with their optimizers, which go on learning.

    All networks learn from all rows, so nothing weighs or calibrates them anew, and those of
    infinite width, which learn from all rows at once, are left out. The learning rate does not
    fall.

    Attributes:
        model: What was learned so far; its networks are those that go on.
        settings: What was asked for.
        epochs: Every pass.
        before: The layers' moments at the start.
        after: The same now.
        seeds: Of all that is random.
    """

    model: TabularModel
    settings: Settings
    epochs: tuple[Epoch, ...]
    before: tuple[Observation, ...]
    after: tuple[Observation, ...]
    seeds: torch.Generator

    def __post_init__(self) -> None:
        self._learners = [
            self._learner(network, sizes)
            for network, sizes in zip(self.model.finite, self.model.architectures, strict=True)
            if isinstance(network, MLP)
        ]

    @classmethod
    def start(cls, encoder: Encoder, target: Target, settings: Settings, rows: int) -> "Increments":
        """Fresh networks, sized by how many rows come first."""
        if target.task == "regression" and settings.dropout is None:
            settings = replace(settings, dropout=0.0)  # numbers go too far, and nothing scales them
        sized = settings.sized(rows)
        seeds = torch.Generator().manual_seed(settings.seed)
        built = build_network(encoder, target, sized.architecture, seeds)
        if target.task == "regression":
            start_at_mean(built)
        several = sized.members > 1
        network = (Ensemble([built]) if several else built).to(torch_device(settings.device))
        blend = Blend.equal(sized.members) if several else None
        model = TabularModel(encoder, target, (sized.architecture,), network.eval(), blend)
        return cls(model, settings, (), (), (), seeds)

    @classmethod
    def resumed(cls, model: TabularModel, settings: Settings) -> "Increments":
        """Copies of the networks of finite width of a model that is there already."""
        model = model.without_rows()
        model = replace(model, network=copy.deepcopy(model.network))
        model.network.to(torch_device(settings.device))
        seeds = torch.Generator().manual_seed(settings.seed)
        before, after = (layers_of(model.about, when) for when in ("before", "after"))
        return cls(model, settings, history_of(model.about).epochs, before, after, seeds)

    @property
    def history(self) -> History:
        """Every pass; the last one's weights are the model's."""
        return History(self.epochs, self.epochs[-1], "epochs")

    def learn(self, source: Source) -> None:
        """One pass over some rows.

        Raises:
            SelfNormError: the loss was not finite, and nothing was learned; or memory ran out.
        """
        begin = time.perf_counter()
        check_known(source, self.model.target)
        target = widened(self.model.target, source.values)
        model = self.model = replace(self.model, target=target)
        rows = self._rows(source)
        weights = copy.deepcopy(model.network.state_dict())
        watched = rows.inputs[:: -(-len(rows) // _WATCHED_ROWS)]
        first = self._learners[0].network
        self.before = self.before or observed(first, watched)
        with enough_memory():
            losses = [self._pass(one, rows) for one in self._learners]
        model.network.eval()
        if not math.isfinite(losses[0]):
            model.network.load_state_dict(weights)
            raise SelfNormError(
                "Training needs a finite loss; it was not finite in these rows, and nothing was "
                "learned of them. Try a smaller learning rate than "
                f"{self._learners[0].options.learning_rate:g}."
            )
        self.after = observed(first, watched)
        seconds = time.perf_counter() - begin
        epoch = Epoch(len(self.epochs) + 1, losses[0], math.nan, math.nan, seconds)
        self.epochs = (*self.epochs, epoch)
        self.model = replace(model, about=self._about(source))

    def _learner(self, network: MLP, sizes: Any) -> _Learner:
        known = replace(self.settings, **vars(sizes), validation=0.0, infinite=False)
        options = known.sized(1).options
        several = network.members is not None
        learner = Ensemble([network]) if several else network
        judge = Judged(self.model.target, None) if several else self.model.target
        state = State.start(learner, options, _CONSTANT, self.seeds)
        return _Learner(network, options, state, judge.loss)

    def _rows(self, source: Source) -> Rows:
        matrix = torch.from_numpy(self.model.encoder.transform(source.table))
        targets, counts = self.model.target.encode(source.values), of_mean_1(source.weights)
        device = torch_device(self.settings.device)
        return Rows(matrix, targets, counts).map(lambda one: one.to(device))

    def _pass(self, learner: _Learner, rows: Rows) -> float:
        size = learner.options.batch_rows(len(rows))
        members = learner.network.members
        batches: Batches = Shuffled(rows, size)
        if members is not None:
            batches = Folded(rows, None, members, size)
        _, masks = masks_from(self.seeds, rows.inputs.device)
        with drawing_from(learner.network, masks):
            return train_epoch(learner.state, batches, learner.loss)

    def _about(self, source: Source) -> dict[str, Any]:
        """The record of the model as it is now."""
        sized = replace(self.settings, **vars(self.model.architectures[0])).sized(1)
        layers, measured = (self.before, self.after), Evaluation({}, {}, 0)
        columns = source.table.column_names
        return about(self.history, *layers, measured, (), sized, self.settings, columns)
