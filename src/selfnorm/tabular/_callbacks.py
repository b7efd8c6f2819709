# scikit-learn has no annotations.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportAssignmentType=false
# pyright: reportUntypedBaseClass=false, reportUnknownVariableType=false
# pyright: reportGeneralTypeIssues=false, reportUnusedImport=false
"""scikit-learn's callbacks (`sklearn.callback`, from 1.9), told of a training epoch by epoch."""

from collections.abc import Callable
from typing import Any

from torch import nn

from selfnorm.tabular._blend import Blend
from selfnorm.tabular._ensemble import Ensemble
from selfnorm.tabular._model import TabularModel
from selfnorm.tabular._prepared import Prepared
from selfnorm.tabular._settings import Settings
from selfnorm.training import Progress
from selfnorm.training._history import Epoch

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # an older scikit-learn, whose estimators know none
    CallbackSupportMixin = object

    def with_callbacks(method: Any) -> Any:
        """The method as it is."""
        return method


FRAMES = 3 if CallbackSupportMixin is object else 4
"""From a warning within a fit to who called it, for `warnings.warn`."""


class CallbackSupport(CallbackSupportMixin):
    """`set_callbacks`, where scikit-learn has callbacks."""

    @property
    def _has_callbacks(self) -> bool:
        """Whether there is a callback, of this estimator or of one around it."""
        return hasattr(self, "_skl_callbacks") or hasattr(self, "_parent_callback_ctx")


class Stopped(KeyboardInterrupt):
    """A callback asked to stop: the training ends as by Ctrl-C, with its best epoch."""


class Told(Progress):
    """Tells callbacks and another who is told.

    Args:
        estimator: Whose callbacks.
        other: Who else is told.
        ready: The table.
        settings: How it is learned.
        given: The rows as they came, by the names of the hooks' arguments.
        take: Makes of a model what a fitted estimator has.
    """

    def __init__(
        self,
        estimator: Any,
        other: Progress,
        ready: Prepared,
        settings: Settings,
        given: dict[str, Any],
        take: Callable[[TabularModel], dict[str, Any]],
    ) -> None:
        self._estimator, self._other, self._ready = estimator, other, ready
        self._chosen, self._given, self._take = settings.portfolio(ready.rows), given, take
        self._network: Any = None
        self._shape = -1
        self._task: Any = None
        self.stopped = False
        epochs = sum(one.epochs or 0 for one in self._chosen)
        self._context = estimator._init_callback_context(max_subtasks=epochs)  # noqa: SLF001 - as scikit-learn documents
        self._context.call_on_fit_task_begin(estimator=estimator, **given)

    def built(self, network: nn.Module) -> None:
        """Networks of the next shape are to be trained."""
        self._network = network
        self._shape += 1
        self._other.built(network)

    def start(self, steps: int) -> None:
        """The training begins."""
        self._other.start(steps)

    def step(self) -> None:
        """A mini-batch is done; with the first the epoch began."""
        if self._task is None:
            self._task = self._context.subcontext(task_name="epoch")
            self._task.call_on_fit_task_begin(estimator=self._estimator, **self._given)
        self._other.step()

    def epoch(self, epoch: Epoch) -> None:
        """An epoch is done.

        Raises:
            Stopped: a callback asked to stop.
        """
        self._other.epoch(epoch)
        task, self._task = self._task, None
        if task is not None and self._end(task, self._now):
            self.stopped = True
            raise Stopped

    def end(self, attributes: dict[str, Any]) -> None:
        """The estimator is fitted and has these attributes."""
        self._end(self._context, lambda: attributes)

    def _end(self, task: Any, attributes: Callable[[], dict[str, Any]]) -> bool:
        return task.call_on_fit_task_end(
            estimator=self._estimator, **self._given, reconstruction_attributes=attributes
        )

    def _now(self) -> dict[str, Any]:
        """What a fitted estimator has, of the networks as they are: each counts the same."""
        sizes = self._chosen[self._shape].architecture
        network, blend = self._network, None
        if sizes.n_estimators > 1:
            network, blend = Ensemble([network]), Blend.equal(sizes.n_estimators)
        encoder, target = self._ready.encoder, self._ready.target
        return self._take(TabularModel(encoder, target, (sizes,), network, blend))
