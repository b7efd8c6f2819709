# scikit-learn has no annotations; what is inferred from its defaults is too narrow.
# pyright: reportArgumentType=false, reportUnknownMemberType=false
"""The target as scikit-learn's users give it: a column, or several of numbers, labels or shares."""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from selfnorm.errors import ArgumentError
from selfnorm.tabular._source import Source
from selfnorm.tabular.encoding._several import Several
from selfnorm.tabular.encoding._target import ClassTarget, Target
from selfnorm.tabular.encoding._targets import fit_target

_ROUNDING = 1e-3  # of a sum of probabilities, which may be of half precision


class Columns(NamedTuple):
    """A target: values, (rows,) or (rows, columns), and what several columns are."""

    values: np.ndarray
    several: Several | None = None

    @property
    def known(self) -> np.ndarray | None:
        """1 for each row that tells something, else 0; None if all do."""
        if self.several is None:
            return None
        known = np.where(np.isnan(self.values).all(1), 0.0, 1.0)
        return None if known.all() else known


def number_columns(y: Any, name: str) -> Columns:
    """Numbers: one column, or several, in which some may be missing.

    Raises:
        ArgumentError: an output is missing in all rows.
        ValueError: scikit-learn's, of what is no number.
    """
    if not _is_wide(y):
        values = check_array(y, ensure_2d=False, dtype=np.float64, input_name=name)
        return Columns(column_or_1d(values, warn=True))
    names, values = _names(y), _matrix(y, name)
    lost = np.flatnonzero(np.isnan(values).all(0))
    if len(lost):
        raise ArgumentError(
            f"Each output of {name} must be known in some rows; '{names[lost[0]]}' is missing in "
            f"all {len(values):,}. Leave it out."
        )
    return Columns(values, Several("numbers", names))


def class_columns(y: Any, name: str) -> Columns:
    """Classes: one column; labels, a matrix of 0 and 1; or shares, probabilities of the classes.

    Raises:
        ArgumentError: several columns are neither.
        ValueError: scikit-learn's, of what is no class.
    """
    if not _is_wide(y):
        values = column_or_1d(y, warn=True)
        check_classification_targets(values)
        return Columns(values)
    names = _names(y)
    try:
        values = _matrix(y, name)
    except ValueError as error:
        raise _neither(name, f"the matrix holds something else ({error})") from error
    known = values[~np.isnan(values)]
    if np.isin(known, (0, 1)).all():
        return Columns(values, Several("labels", names))
    if np.isnan(values).any() or (values < 0).any():
        raise _neither(name, "missing values or values below 0 stand beside others than 0 and 1")
    sums = values.sum(1)
    wrong = np.flatnonzero(np.abs(sums - 1) > _ROUNDING)
    if len(wrong):
        raise _neither(name, f"row {wrong[0] + 1} sums to {sums[wrong[0]]:.4g}")
    classes = _classes(y, values.shape[1])
    order = sorted(range(len(classes)), key=lambda at: classes[at])
    shares = (values / sums[:, None])[:, order]
    return Columns(shares, Several("shares", tuple(classes[at] for at in order)))


def as_learned(
    values: np.ndarray, found: Several | None, learned: Several | None, name: str
) -> np.ndarray:
    """A target of other rows in the form of the one that is learned.

    Shares that are 0 and 1 alone look like labels. Columns of the same names are put in order;
    others are taken as they stand.

    Raises:
        ArgumentError: it is another kind of target, or of other columns.
    """
    if found is None and learned is None:
        return values
    if found is not None and learned is not None and _alike(values, found, learned):
        names, wanted = list(map(str, found.names)), list(map(str, learned.names))
        same = sorted(names) == sorted(wanted)
        return values[:, [names.index(one) for one in wanted]] if same else values
    raise ArgumentError(
        f"{name} must be what y is, {_described(learned)}; it is {_described(found)}. Give the "
        "same columns."
    )


def with_classes(source: Source, classes: Any) -> Target:
    """The target of some rows, whose classes are those that all rows together have.

    Raises:
        ArgumentError: a row is of another class.
    """
    known = tuple(np.unique(np.asarray(classes)).tolist())
    if source.several is not None:
        return fit_target(source.name, source.values, source.task, source.weights, source.several)
    strange = np.setdiff1d(source.values, np.asarray(known)).tolist()
    if strange:
        raise ArgumentError(
            f"classes must name all classes; y holds {strange[0]!r}, which is none of "
            f"{', '.join(map(repr, known[:5]))}. Add it."
        )
    shares = source.values[:, None] == np.asarray(known)
    return ClassTarget.of_shares(source.name, known, shares, source.weights)


def _alike(values: np.ndarray, found: Several, learned: Several) -> bool:
    one_of_each = found.kind == "labels" and learned.kind == "shares"
    kind = found.kind == learned.kind or (one_of_each and bool((values.sum(1) == 1).all()))
    return kind and len(found.names) == len(learned.names)


def _is_wide(y: Any) -> bool:
    shape = y.shape if hasattr(y, "shape") else np.asarray(y).shape
    return len(shape) == 2 and shape[1] > 1


def _matrix(y: Any, name: str) -> np.ndarray:
    """Several columns as float64, nan where missing."""
    if hasattr(y, "toarray"):  # scipy.sparse, as scikit-learn's MultiLabelBinarizer may give it
        y = y.toarray()
    elif isinstance(y, pa.Table):
        y = np.column_stack([column.to_numpy() for column in y.columns])
    return check_array(y, dtype=np.float64, ensure_all_finite="allow-nan", input_name=name)


def _named(y: Any) -> Any:
    """What a frame's columns are called; None of an array."""
    return y.column_names if isinstance(y, pa.Table) else getattr(y, "columns", None)


def _names(y: Any) -> tuple[str, ...]:
    """What the columns of a frame are called; of an array y0, y1, ..."""
    if (named := _named(y)) is None:
        columns = (y if hasattr(y, "shape") else np.asarray(y)).shape[1]
        return tuple(f"y{at}" for at in range(columns))
    names = tuple(map(str, named))
    if len(set(names)) < len(names):
        raise ArgumentError(
            f"Outputs have a name each; several columns of y are called "
            f"'{next(one for one in names if names.count(one) > 1)}'. Rename them."
        )
    return names


def _classes(y: Any, columns: int) -> tuple[Any, ...]:
    """The classes that columns of shares stand for: a frame's names, or 0, 1, ..."""
    if (named := _named(y)) is None:
        return tuple(range(columns))
    found = [one.item() if isinstance(one, np.generic) else one for one in named]
    alike = len({type(one) for one in found}) == 1 and isinstance(found[0], str | bool | int)
    return tuple(found) if alike else tuple(map(str, found))


def _neither(name: str, what: str) -> ArgumentError:
    return ArgumentError(
        "Several columns of a classifier's target are labels, a matrix of 0 and 1 (nan where "
        "unknown), or probabilities of the classes, which sum to 1 in each row; of "
        f"{name}, {what}. For several targets of many classes wrap the estimator in "
        "sklearn.multioutput's MultiOutputClassifier."
    )


def _described(several: Several | None) -> str:
    if several is None:
        return "one column"
    what = {"numbers": "numbers", "labels": "labels of 0 and 1", "shares": "probabilities"}
    return f"{len(several.names)} columns of {what[several.kind]}"
