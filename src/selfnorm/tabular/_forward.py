"""The networks of a saved model as arrays: a forward pass in NumPy, float64."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from selfnorm.tabular._kernel import Kernel, kernel_of
from selfnorm.tabular._model_file import Saved
from selfnorm.tabular.encoding._encode import Encoder
from selfnorm.theory._form import SELUForm
from selfnorm.theory._shaped import GROWTH, shaped_selu
from selfnorm.theory._standard import STANDARD

BLOCK = 8192
"""Rows at a time; up to so many are told in float64."""
_ROWS = 1024  # of a kernel at a time


class Layers(NamedTuple):
    """Networks of one shape, (members, units, inputs) each weight and (members, units) each bias.

    Attributes:
        linear: Weights and biases, the outputs' last.
        form: The SELU between them.
    """

    linear: tuple[tuple[np.ndarray, np.ndarray], ...]
    form: SELUForm

    def shifted(self, shift: np.ndarray) -> "Layers":
        """The same for rows off which this was not taken: it is taken off behind the product."""
        (weight, bias), *others = self.linear
        return self._replace(linear=((weight, bias - weight @ shift), *others))


class Wide(NamedTuple):
    """An infinitely wide network.

    Attributes:
        reads: Which features it reads, (features,), booleans.
        learned: The rows that it has learned from, as its kernel compares them.
        coefficients: One for each of them and each output.
        offset: What is added to each output.
        kernel: What it is to kernel regression.
    """

    reads: np.ndarray
    learned: np.ndarray
    coefficients: np.ndarray
    offset: np.ndarray
    kernel: Kernel

    @classmethod
    def of(
        cls,
        reads: np.ndarray,
        rows: np.ndarray,
        coefficients: np.ndarray,
        offset: np.ndarray,
        kernel: Kernel,
    ) -> "Wide":
        """From what a model file holds: rows as they are encoded."""
        return cls(reads, kernel.prepared(rows), coefficients, offset, kernel)


class Teller(NamedTuple):
    """Who tells encoded rows their outputs.

    Attributes:
        outputs: From rows, (rows, features), to outputs, (rows, outputs).
        mapped: How it is asked of several blocks: by `map`, or by what does the same in threads.
    """

    outputs: Callable[[np.ndarray], np.ndarray]
    mapped: Callable[..., Iterator[np.ndarray]] = map

    def of(self, encoder: Encoder, table: pa.Table) -> np.ndarray:
        """The outputs of a table's rows.

        Raises:
            TableError: a column is missing, or holds something else than in training.
        """
        return np.concatenate(list(encoder.each(table, BLOCK, self.outputs, self.mapped)))


class Networks:
    """What a saved model's networks say, without torch.

    Shape:
        Input (rows, features); output (rows, outputs), those of several blended, in float64.
    """

    def __init__(self, saved: Saved) -> None:
        self._target, self._blend = saved.target, saved.blend
        self.finite = layers_of(saved)
        self.wide = wide_of(saved)

    def __call__(self, rows: Any) -> np.ndarray:
        """The output of every row, which are sparse if the table was."""
        rows = rows.astype(np.float64)
        told = [_through(one, rows) for one in self.finite]
        told += [regressed(one, rows)[None] for one in self.wide]
        outputs = np.concatenate(told).swapaxes(0, 1)
        if self._blend is None:
            return outputs[:, 0]
        return self._blend.of_arrays(self._target, outputs)


def layers_of(saved: Saved) -> list[Layers]:
    """The networks of finite width, those of one shape together."""
    single, sparse = saved.blend is None, saved.encoder.sparse
    found = [
        _layers(saved.state, "" if single else f"networks.{at}.", sizes)
        for at, sizes in enumerate(saved.architectures)
    ]
    return found if sparse is None else [one.shifted(sparse.shift) for one in found]


def wide_of(saved: Saved) -> list[Wide]:
    """The networks of infinite width."""
    views = saved.encoder.views
    found: list[Wide] = []
    for at, one in enumerate(saved.wide):
        rows, coefficients, offset = (
            saved.state[f"infinite.{at}.{name}"] for name in ("rows", "coefficients", "offset")
        )
        kernel = kernel_of(one.get("frequency"))
        found.append(Wide.of(views[one["view"]], rows, coefficients, offset, kernel))
    return found


def _layers(state: Mapping[str, np.ndarray], prefix: str, sizes: Mapping[str, Any]) -> Layers:
    depth = sizes["depth"]
    names = [*(f"linear{number}" for number in range(1, depth + 1)), "output"]

    def of(name: str, dimensions: int) -> np.ndarray:
        values = state[f"{prefix}{name}"].astype(np.float64)
        return values if values.ndim == dimensions else values[None]

    linear = tuple((of(f"{name}.weight", 3), of(f"{name}.bias", 2)) for name in names)
    shaped = sizes["weights"] == "orthogonal"
    return Layers(linear, shaped_selu(depth, growth=GROWTH) if shaped else SELUForm())


def _through(layers: Layers, rows: Any) -> np.ndarray:
    """The outputs of each member, (members, rows, outputs)."""
    *hidden, (weight, bias) = layers.linear
    for inner, inner_bias in hidden:
        by_member = inner.swapaxes(-1, -2)
        dense = isinstance(rows, np.ndarray)
        product = rows @ by_member if dense else np.stack([rows @ one for one in by_member])
        rows = _selu(product + inner_bias[:, None], layers.form)
    return rows @ weight.swapaxes(-1, -2) + bias[:, None]


def _selu(x: np.ndarray, form: SELUForm) -> np.ndarray:
    alpha, scale = STANDARD
    bent = np.minimum(x, 0)
    np.expm1(bent, out=bent)
    bent *= alpha
    bent += np.maximum(x, 0)
    bent *= scale * form.factor
    if form == SELUForm():
        return bent
    return form.linear * x + bent + form.shift


def regressed(network: Wide, rows: np.ndarray) -> np.ndarray:
    """What an infinitely wide network says of encoded rows, (rows, outputs), in float64."""
    prepared, kernel = network.kernel.prepared, network.kernel.of
    parts: Sequence[np.ndarray] = [
        kernel(prepared(rows[at : at + _ROWS, network.reads]), network.learned)
        @ network.coefficients
        for at in range(0, len(rows), _ROWS)
    ]
    outputs = np.concatenate(parts) if parts else np.zeros((0, len(network.offset)))
    return outputs + network.offset
