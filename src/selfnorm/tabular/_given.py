"""The rows that an estimator is given, as a table: frames, arrays, sparse matrices."""

from typing import Any

import pyarrow as pa
from scipy.sparse import csr_array
from sklearn import utils
from sklearn.utils.validation import validate_data

from selfnorm.errors import UnsupportedError
from selfnorm.tabular.data._sparse import is_matrix
from selfnorm.tabular.data._table import as_table

_check: Any = utils.check_array  # whose types are those of its defaults


def table_of(estimator: Any, X: Any, *, reset: bool) -> pa.Table:
    """X as a table; sets, or checks against, the number and names of its columns.

    An estimator that was fitted on a sparse matrix takes arrays, too: all their cells are then
    looked at, but those that are 0 go no further.

    Raises:
        UnsupportedError: X is sparse, and the estimator was fitted on another table.
    """
    model = None if reset else getattr(estimator, "model_", None)
    learned = None if model is None else model.encoder.sparse is not None
    if hasattr(X, "__arrow_c_stream__") or hasattr(X, "iloc"):
        validate_data(estimator, X, skip_check_array=True, reset=reset)
        return as_table(X)
    if is_matrix(X) or learned:
        found = _check(X, accept_sparse="csr", estimator=estimator)
        validate_data(estimator, found, skip_check_array=True, reset=reset)
        if learned is False:
            raise UnsupportedError(
                "A sparse X needs an estimator that was fitted on one; this was fitted on columns "
                "that each have an encoding of their own. Pass X.toarray(), some rows at a time, "
                "or fit it on a sparse matrix."
            )
        return as_table(found if is_matrix(found) else csr_array(found))
    array = _check(X, dtype=None, ensure_all_finite="allow-nan", estimator=estimator)
    validate_data(estimator, array, skip_check_array=True, reset=reset)
    return as_table(array)


def check_dense(X: Any, what: str, mend: str) -> None:
    """Raise if X is sparse.

    Raises:
        UnsupportedError: then.
    """
    if is_matrix(X):
        raise UnsupportedError(
            f"{what} takes rows that are not sparse; a matrix of scipy.sparse came. Call "
            f"X.toarray(), or {mend}."
        )
