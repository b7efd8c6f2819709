"""TabM (Gorishniy et al. 2025), trained as its package's example does.

That is: features by quantiles as normal ones, piecewise-linear embeddings, AdamW with clipped
gradients, and the epoch whose ensemble validates best. Beside accuracy, which on some 30 rows is
soon 1, the loss decides: without it the first such epoch would win.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from sklearn.feature_selection import VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, QuantileTransformer
from sklearn.utils.metaestimators import available_if
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.tabular._encode import NUMBERS, as_text, categories
from benchmarks.tabular._given import Given

MEMBERS, PATIENCE, BINS = 32, 16, 48
# Rows of a mini-batch where there are fewer training rows than that.
BATCHES = ((2_800, 32), (4_500, 64), (6_400, 128), (32_000, 256), (float("inf"), 512))
Rows = tuple[Tensor, Tensor | None]


def tabm(given: Given) -> Any:
    """TabM with 32 members; the rows that validate choose the epoch and train nothing."""
    torch.manual_seed(given.seed)
    learns, checks = ~given.validation, given.validation
    inputs = _Inputs(given.X[learns], given.seed)
    target = given.either(_Classes, _Numbers)(given.y)
    rows = inputs(given.X[learns])
    network = _network(rows[0], inputs.sizes, target.outputs)
    batch = next(size for most, size in BATCHES if learns.sum() < most)
    held, wanted = inputs(given.X[checks]), target.encode(given.y[checks])

    def worth() -> tuple[float, ...]:
        return target.worth(_said(network, target, held), wanted)

    _train(network, target, rows, target.encode(given.y[learns]), batch, worth)
    return _Model(inputs, network, target)


class _Inputs:
    """Numbers by quantiles as normal ones, and categories as their places."""

    def __init__(self, X: Any, seed: int) -> None:
        self._categories = categories(X)
        self._fill = make_pipeline(SimpleImputer(strategy="median"), VarianceThreshold())
        values = self._fill.fit_transform(self._numbers(X))
        quantiles = max(min(len(values) // 30, 1000), 10)
        self._normal = QuantileTransformer(
            n_quantiles=min(quantiles, len(values)),
            output_distribution="normal",
            subsample=10**9,
            random_state=seed,
        ).fit(values + np.random.default_rng(seed).normal(0.0, 1e-5, values.shape))
        self._places = make_pipeline(
            as_text(), OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
        )
        if self._categories:
            self._places.fit(X[self._categories])
        encoder = self._places[-1]
        self.sizes = [len(one) for one in encoder.categories_] if self._categories else []

    def _numbers(self, X: Any) -> np.ndarray:
        return X if isinstance(X, np.ndarray) else X[NUMBERS(X)].to_numpy(dtype=np.float64)

    def __call__(self, X: Any) -> tuple[Tensor, Tensor | None]:
        """Numbers and places as tensors; an unknown category is the place behind the last."""
        values = self._normal.transform(self._fill.transform(self._numbers(X)))
        numbers = torch.as_tensor(values, dtype=torch.float32)
        if not self._categories:
            return numbers, None
        places = self._places.transform(X[self._categories])
        return numbers, torch.as_tensor(np.where(places < 0, self.sizes, places), dtype=torch.long)


class _Classes:
    """Classes as places: cross-entropy, and the mean of the members' probabilities."""

    def __init__(self, y: np.ndarray) -> None:
        self.classes = np.unique(y)
        self.outputs = len(self.classes)

    def encode(self, y: np.ndarray) -> Tensor:
        """The places of classes."""
        return torch.as_tensor(np.searchsorted(self.classes, y))

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """The mean loss of all members, each by itself."""
        return F.cross_entropy(outputs.flatten(0, 1), y.repeat_interleave(outputs.shape[1]))

    def average(self, outputs: Tensor) -> Tensor:
        """Probabilities of the ensemble."""
        return outputs.softmax(-1).mean(1)

    def worth(self, said: Tensor, y: Tensor) -> tuple[float, float]:
        """Accuracy, and of equal ones the loss; more is better."""
        right = (said.argmax(1) == y).float().mean()
        return right.item(), -F.nll_loss(said.log(), y).item()


class _Numbers:
    """Standardized numbers: squared error, and the mean of the members' numbers."""

    outputs = 1

    def __init__(self, y: np.ndarray) -> None:
        self.classes = None
        self.mean, self.scale = y.mean(), y.std()

    def encode(self, y: np.ndarray) -> Tensor:
        """Numbers on the scale on which the network learns."""
        return torch.as_tensor((y - self.mean) / self.scale, dtype=torch.float32)

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """The mean loss of all members, each by itself."""
        return F.mse_loss(outputs.squeeze(-1), y[:, None].expand(outputs.shape[:2]))

    def average(self, outputs: Tensor) -> Tensor:
        """Numbers of the ensemble."""
        return outputs.squeeze(-1).mean(1)

    def worth(self, said: Tensor, y: Tensor) -> tuple[float]:
        """The squared error; more is better."""
        return (-F.mse_loss(said, y).item(),)


class _Model:
    """A trained network behind its inputs, with scikit-learn's methods."""

    def __init__(self, inputs: _Inputs, network: nn.Module, target: Any) -> None:
        self._inputs, self._network, self._target = inputs, network, target
        self.classes_ = target.classes

    @available_if(lambda self: self.classes_ is not None)
    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes, shape (rows, classes)."""
        return _said(self._network, self._target, self._inputs(X)).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """Numbers on the scale of the target."""
        said = _said(self._network, self._target, self._inputs(X)).numpy()
        return said * self._target.scale + self._target.mean


def _network(numbers: Tensor, sizes: list[int], outputs: int) -> nn.Module:
    import rtdl_num_embeddings as embeddings
    import tabm

    bins = embeddings.compute_bins(numbers, n_bins=min(BINS, len(numbers) - 1))
    return tabm.TabM.make(
        n_num_features=numbers.shape[1],
        cat_cardinalities=sizes,
        d_out=outputs,
        k=MEMBERS,
        num_embeddings=embeddings.PiecewiseLinearEmbeddings(
            bins, d_embedding=16, activation=False, version="B"
        ),
    )


def _train(
    network: nn.Module,
    target: Any,
    rows: Rows,
    y: Tensor,
    batch: int,
    validate: Callable[[], tuple[float, ...]],
) -> None:
    """Train until no epoch of `PATIENCE` and one more has been better; the best one stays."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=3e-4)
    best, state, left = (float("-inf"),), {}, PATIENCE
    while left >= 0:
        network.train()
        for part in torch.randperm(len(y)).split(batch):
            optimizer.zero_grad()
            target.loss(network(*_take(rows, part)), y[part]).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
        worth = validate()
        if worth > best:
            best, state, left = worth, deepcopy(network.state_dict()), PATIENCE
        else:
            left -= 1
    network.load_state_dict(state)


@torch.inference_mode()
def _said(network: nn.Module, target: Any, rows: Rows) -> Tensor:
    """What the ensemble says of rows."""
    network.eval()
    parts = torch.arange(len(rows[0])).split(8096)
    return torch.cat([target.average(network(*_take(rows, part))) for part in parts])


def _take(rows: Rows, part: Tensor) -> Rows:
    numbers, places = rows
    return numbers[part], None if places is None else places[part]
