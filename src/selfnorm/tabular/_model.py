"""A trained model of a table: encoding, network and target, from table to prediction."""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from selfnorm.errors import ArgumentError, UnsupportedError
from selfnorm.nn import MLP
from selfnorm.tabular._blend import Blend
from selfnorm.tabular._ensemble import Ensemble
from selfnorm.tabular._evaluation import Evaluation
from selfnorm.tabular._forward import BLOCK, Networks, Teller
from selfnorm.tabular._interval import errors_of
from selfnorm.tabular._many import ManyRows, side_by_side
from selfnorm.tabular._measuring import EXACT, Measuring, measured
from selfnorm.tabular._model_file import Saved
from selfnorm.tabular._output import check_finite, prediction_table
from selfnorm.tabular._settings import Architecture
from selfnorm.tabular._source import BEGIN, Source, read_for
from selfnorm.tabular._spread import Spread, Spreading
from selfnorm.tabular._truths import truths_for
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.tabular.encoding._several import LabelsTarget
from selfnorm.tabular.encoding._target import ClassTarget, Prediction, Target
from selfnorm.training._predict import predict
from selfnorm.training._threads import one_thread

if TYPE_CHECKING:
    from selfnorm.tabular.export._export import Exported


@dataclass(frozen=True)
class TabularModel:
    """All that is needed to predict from a table, and all that a model folder holds.

    Attributes:
        encoder: From columns to features.
        target: What the outputs stand for.
        architectures: The hidden part of the network; of several, of those of each shape.
        network: The network, a `selfnorm.nn.MLP`; of several an `Ensemble`, whose `networks` are
            such, those of one shape together.
        blend: How those of an ensemble become one prediction; None for a single network.
        about: How it came to be: versions, settings, metrics, epochs, layers; plain JSON.
    """

    encoder: Encoder
    target: Target
    architectures: tuple[Architecture, ...]
    network: nn.Module
    blend: Blend | None = None
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def finite(self) -> tuple[nn.Module, ...]:
        """The networks of finite width, a `selfnorm.nn.MLP` each; several of one shape are one."""
        return self.network.finite if isinstance(self.network, Ensemble) else (self.network,)

    def read(self, source: Any) -> pa.Table:
        """A table for this model: a file, or a table in memory, its columns in any order.

        Raises:
            TableError: It cannot be read, or lacks a column.
        """
        table = read_for(source, self.target, self.encoder)
        self.encoder.check(table)
        return table

    def notes(self, table: pa.Table) -> tuple[str, ...]:
        """What a user should know of a table: columns with values that training had not."""
        return tuple(self.encoder.notes(table))

    def predict(self, source: Any) -> Prediction:
        """Predict every row of a table: a file, or a pandas, polars or Arrow table.

        Up to 8,192 rows the work is done in float64, so that a row is told the same whatever rows
        are beside it; of more rows in float32, which is faster and differs by its rounding. A table
        is encoded 8,192 rows at a time.

        Args:
            source: The file, a pandas, polars or Arrow table; or an array, if it learned from one.

        Raises:
            UnsupportedError: `source` is none of these.
            TableError: a column is missing, or holds text where training had numbers.
            SelfNormError: a prediction is not finite.
        """
        table = self.read(source)
        return self._predicted(table, self.teller(many=table.num_rows > BLOCK))

    def teller(self, *, many: bool) -> Teller:
        """What tells encoded rows their outputs: few in float64, many in float32."""
        sparse = self.encoder.sparse
        if sparse is not None and not many:
            return Teller(Networks(self.saved))
        if sparse is not None:
            networks = ManyRows(copy.deepcopy(self.network).cpu(), sparse.shift)
            return Teller(partial(self._outputs_of_many, networks), side_by_side)
        if not many:
            return Teller(partial(self.outputs, network=copy.deepcopy(self.network).double()))
        if next(self.network.parameters()).device.type != "cpu":
            return Teller(self.outputs)
        with one_thread():  # packing weights is not worth more
            networks = ManyRows(self.network)
        return Teller(partial(self._outputs_of_many, networks), side_by_side)

    def _outputs_of_many(self, networks: ManyRows, rows: Any) -> np.ndarray:
        told = networks(rows)
        return told[:, 0] if self.blend is None else self.blend.of_arrays(self.target, told)

    def _predicted(self, table: pa.Table, teller: Teller) -> Prediction:
        prediction = self.target.decode(teller.of(self.encoder, table))
        check_finite(prediction)
        return prediction

    def predict_spread(self, source: Any, mc: int = 0, *, seed: int = 0) -> Spread:
        """Predict every row, and tell how far the networks differ in what they say of it.

        The deviation is between networks, each counted the same whatever its weight in the blend:
        what the model does not know, as too few rows were near. The noise of the target, which no
        model can know, is not in it: `predict_interval` is about both. With `mc` each network of
        finite width is asked under so many masks of alpha dropout (Gal and Ghahramani 2016, arXiv
        1506.02142), the prediction is the mean over masks, and the deviation is between networks
        and masks.

        Args:
            source: As of `predict`.
            mc: How many masks; 0 for none.
            seed: Of the masks: the same seed draws the same.

        Returns:
            The prediction, and the deviation: of a number in its own unit, (rows,) or (rows,
            outputs); of classes and labels of each probability.

        Raises:
            ArgumentError: `mc` is no whole number of 0 or more, or the model has no dropout.
            TableError: as `predict`.
        """
        table = self.read(source)
        spread = Spreading(self.network, self.target, self.blend, mc, seed)
        found = [spread(block) for block in self.encoder.blocks(table, BLOCK)]
        outputs, deviations = (np.concatenate(each) for each in zip(*found, strict=True))
        prediction = self.target.decode(outputs)
        check_finite(prediction)
        one_number = prediction.values.ndim == 1 and prediction.probabilities is None
        return Spread(prediction, deviations[:, 0] if one_number else deviations)

    def outputs(self, rows: np.ndarray, network: nn.Module | None = None) -> np.ndarray:
        """What encoded rows are told, (rows, outputs), those of several networks blended.

        Args:
            rows: The encoder's matrix, (rows, features).
            network: Another one in place of the model's, such as the same in float64.
        """
        told = predict(network or self.network, torch.from_numpy(rows)).double()
        return (told if self.blend is None else self.blend(self.target, told)).numpy(force=True)

    def without_rows(self) -> "TabularModel":
        """The model without its infinitely wide networks, and so without any row of the training.

        An infinitely wide network is what it says of the rows that it has learned from: it cannot
        be without them. The others' weights are scaled to a sum of 1, and the factor on the
        logarithms of probabilities stays. So it predicts otherwise, and metrics in `about` are
        those of the whole; `about["without_rows"]` says so. What columns have taught the encoding
        stays: names, quantiles, levels, shares. A model without such networks is returned as it is.
        """
        saved = self.saved.without_rows()
        if saved.blend is self.blend:
            return self
        networks = self.network.finite if isinstance(self.network, Ensemble) else ()
        network = Ensemble(networks).eval()
        return replace(self, network=network, blend=saved.blend, about=saved.about)

    @property
    def saved(self) -> Saved:
        """The same as a file has it: sizes and arrays, without torch."""
        state = self.network.state_dict()
        joined = self.network.joined if isinstance(self.network, Ensemble) else ()
        views = [view.tolist() for view in self.encoder.views]
        return Saved(
            self.encoder,
            self.target,
            [vars(one) for one in self.architectures],
            [{"view": views.index(one.reads.tolist()), **one.record} for one in joined],
            self.blend,
            self.about,
            {name: value.numpy(force=True) for name, value in state.items()},
        )

    def to_onnx(self, path: str | Path, table: Any = None, *, force: bool = False) -> "Exported":
        """Write the model as one ONNX file, its encoding inside, and compare what it says.

        Inputs are the columns in use, (rows,) each: float64 for numbers, nan where unknown, and
        text for categories. Dates, times and amounts are taken as numbers already read: days since
        1970-01-01, days, and the amount. Outputs are `label` and `probabilities`, or `prediction`.

        Args:
            path: The file, which ends in `.onnx`.
            table: Rows to compare on, where onnxruntime is installed; None makes some.
            force: Write over a file that is there.

        Returns:
            What it asks for, and how far its answers are from the model's.

        Raises:
            MissingPackageError: onnx is not installed: `pip install 'selfnorm[onnx]'`.
            ModelFolderError: the file cannot be written.
            SelfNormError: its answers are further than 1e-5 from the model's.
            TableError: the table cannot be read, or lacks a column.
        """
        from selfnorm.tabular.export._export import export_onnx  # noqa: PLC0415 - only this needs it

        return export_onnx(self.saved, path, table, force=force)

    def predict_interval(self, source: Any, coverage: float = 0.9) -> np.ndarray:
        """An interval for the number of every row, shape (rows, 2): from where to where.

        Of several numbers it is (rows, outputs, 2).

            [f(x) - q, f(x) + q],  q: what a share `coverage` of new errors does not exceed

        q is told by errors on rows that were left out, so it is as wide for all rows. Each of these
        is told by some of the networks, which are further off than all together; but the same rows
        have chosen the epoch. No theorem says which counts for more: the page *Estimators* has what
        was measured.

        Args:
            source: The file, a pandas, polars or Arrow table; or an array, if it learned from one.
            coverage: The share of rows whose number is to be inside, in (0, 1).

        Raises:
            UnsupportedError: it predicts classes.
            ArgumentError: `coverage` breaks its rule; or no rows, or too few, were left out.
            TableError: as `predict`.

        Source: Barber et al. 2021 (arXiv 1905.02928) and Kim et al. 2020 (2002.09025), without the
        plus: around the prediction of all networks; where rows were given to validate with, split
        conformal (Lei et al. 2018, 1604.04173).
        """
        if self.target.task == "classification":
            raise UnsupportedError(
                "An interval is one of numbers; this model predicts classes. Use probabilities."
            )
        errors = errors_of(self.about)
        if not errors or None in errors:
            raise ArgumentError(
                "An interval needs errors on rows that were left out; this model was fitted "
                "without any, or by an older version. Fit it with validation above 0."
            )
        half = np.array([one.within(coverage) for one in errors if one is not None])
        values = self.predict(source).values
        half = half if values.ndim > 1 else half[0]
        return np.stack([values - half, values + half], axis=-1)

    def predict_table(self, source: Any) -> pa.Table:
        """The predictions as a table: the target's name, and `probability_CLASS` of each class."""
        return prediction_table(self.target, self.predict(source))

    def evaluate(self, source: Any, told: Callable[[int], object] = lambda _: None) -> Evaluation:
        """Measure the model on a table that holds the target, beside the trivial baseline.

        Files are read some of the rows at a time, one part of a table after the other, so they may
        be larger than the memory: what is kept are sums. Of classes the AUC is exact up to a
        million probabilities; of more, rows are ranked in steps of the log odds. A table of several
        targets is read as a whole.

        Args:
            source: The table.
            told: Told after each block how many rows are measured.

        Raises:
            TableError: as `predict`, and if the target is missing or of another kind.
            SelfNormError: a prediction is not finite.
        """
        going = Measuring(self.encoder, self.target)
        for _ in self.measuring(source, going):
            told(going.looked)
        return going.found()

    def measuring(self, source: Any, going: Measuring) -> Iterator[None]:
        """Measure what is left of a table, block by block; it stops behind each."""
        truths = truths_for(source, self.target, self.encoder, going.place, going.looked)
        return measured(truths, going, self.teller, self._predicted)

    def measure(self, truth: Source) -> Evaluation:
        """The same on rows that are read already."""
        going = Measuring(self.encoder, self.target, most=EXACT)
        for _ in measured(iter([(BEGIN, truth)]), going, self.teller, self._predicted):
            pass
        return going.so_far


def fitted_attributes(model: TabularModel) -> dict[str, Any]:
    """What an estimator needs to predict."""
    if isinstance(model.target, ClassTarget):
        return {"model_": model, "classes_": np.asarray(model.target.classes)}
    if isinstance(model.target, LabelsTarget):  # as scikit-learn has it of several outputs
        return {"model_": model, "classes_": np.tile([0, 1], (model.target.outputs, 1))}
    return {"model_": model}


def build_network(
    encoder: Encoder,
    target: Target,
    architecture: Architecture,
    generator: torch.Generator | None = None,
) -> MLP:
    """The network that fits an encoding and a target, freshly initialized; of several, members."""
    several = architecture.n_estimators > 1
    return MLP(
        len(encoder.features),
        target.outputs,
        width=architecture.width,
        depth=architecture.depth,
        shape=architecture.shape,
        dropout=architecture.dropout,
        weights=architecture.weights,
        members=architecture.n_estimators if several else None,
        generator=generator,
        device="cpu",  # as the encoder's matrices are, whatever torch's defaults
        dtype=torch.float32,
    )
