"""A model and its inputs by what a command line can say: names of code, shapes and files."""

import importlib
import inspect
import os
import re
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from selfnorm import _extras
from selfnorm.errors import ArgumentError, SelfNormError, TableError

_SHAPE = re.compile(r"\d+(?:[x,]\d+)*")
_FILES = ".npy, .pt, .pth or .csv"


def find_model(name: str) -> tuple[nn.Module, object | None]:
    """The model of `package.module:factory`, and inputs if the factory gives `(model, inputs)`.

    The factory is called without arguments; it may also be a module itself. Modules of the current
    folder are found, as with `python -m`.

    Raises:
        ArgumentError: There is no such thing, it raises, or gives no `torch.nn.Module`.
    """
    path, _, attribute = name.partition(":")
    if not path or not attribute:
        raise ArgumentError(
            f"a model is named package.module:factory, or is a folder that `fit` wrote; got "
            f"{name!r}. For example my_package.networks:build."
        )
    if os.getcwd() not in sys.path:  # noqa: PTH109 - sys.path holds text
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    try:
        found: Any = importlib.import_module(path)
    except Exception as error:
        raise ArgumentError(
            f"a model's module must be importable; importing {path!r} raised "
            f"{_described(error)}. Run the command where `python -c 'import {path}'` works."
        ) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ArgumentError(
                f"a factory is an attribute of its module; {path!r} has no {attribute!r}. It has "
                f"{', '.join(n for n in vars(found) if not n.startswith('_')) or 'none'}."
            )
        found = getattr(found, part)
    made = found if isinstance(found, nn.Module) else _called(found, name)
    inputs = None
    if isinstance(made, tuple):
        parts = cast("tuple[object, ...]", made)
        made, inputs = (parts[0], parts[1]) if len(parts) == 2 else (made, None)
    if not isinstance(made, nn.Module):
        raise ArgumentError(
            f"a factory gives a torch.nn.Module, or a pair of one and its inputs; {name!r} gave "
            f"{type(made).__name__}. Return the model."
        )
    return made, inputs


def find_inputs(text: str) -> Any:
    """Inputs by shape, `32x784` or `32,3,224,224` (standard normal numbers), or of a file.

    A `.npy` file holds an array, a `.pt` file what the model is called with (tensors in tuples and
    dictionaries; no code is run), a `.csv` file numbers under a header.

    Raises:
        ArgumentError: It is neither a shape nor such a file.
        TableError: A CSV file holds something else than numbers.
    """
    if _SHAPE.fullmatch(text):
        shape = [int(part) for part in re.split("[x,]", text)]
        return torch.randn(shape, generator=torch.Generator().manual_seed(0))
    path = Path(text)
    if not path.is_file():
        raise ArgumentError(
            f"--input is a shape such as 256x784, or a file ending in {_FILES}; got {text!r}, and "
            "there is no such file. Give one of these."
        )
    try:
        match path.suffix.lower():
            case ".npy":
                return _tensor(np.load(path, allow_pickle=False))
            case ".pt" | ".pth":
                return torch.load(path, weights_only=True)
            case ".csv":
                return _csv(path)
            case other:
                raise ArgumentError(
                    f"a file of inputs ends in {_FILES}; got {other!r}. Convert it."
                )
    except SelfNormError:
        raise
    except Exception as error:
        raise ArgumentError(
            f"a file of inputs must be readable without running code; {text!r} raised "
            f"{_described(error)}. Save it with numpy.save, or torch.save of tensors alone."
        ) from error


def _called(factory: Any, name: str) -> object:
    if not callable(factory):
        raise ArgumentError(
            f"a factory is a function or a class; {name!r} is {type(factory).__name__}. Name a "
            "function that returns the model."
        )
    if not _needs_nothing(factory):
        raise ArgumentError(
            f"a factory is called without arguments; {name!r} takes "
            f"{inspect.signature(factory)}. Write a function that needs none."
        )
    try:
        return factory()
    except Exception as error:
        raise ArgumentError(
            f"a factory gives a model; {name!r} raised {_described(error)}. Mend it until "
            "calling it works in Python."
        ) from error


def _needs_nothing(factory: Any) -> bool:
    """Whether a function can be called without arguments; those of C often do not say."""
    try:
        inspect.signature(factory).bind()
    except TypeError:
        return False
    except ValueError:
        return True
    return True


def _csv(path: Path) -> Tensor:
    with _extras.told():
        from pyarrow import csv  # noqa: PLC0415 - seldom needed
    table = csv.read_csv(path)
    columns: list[np.ndarray] = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        values = column.to_numpy(zero_copy_only=False)
        if values.dtype.kind not in "fiub" or column.null_count:
            raise TableError(
                f"inputs of a CSV file are numbers, without gaps, under a header; column {name!r} "
                f"of '{path}' is {column.type}"
                + (f" with {column.null_count} gaps" if column.null_count else "")
                + ". Drop or encode it; `selfnorm fit` does that."
            )
        columns.append(values.astype(np.float32))
    return torch.from_numpy(np.stack(columns, 1))


def _tensor(array: np.ndarray) -> Tensor:
    if array.dtype == np.float64:
        array = array.astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(array))


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip() or 'no message'}".splitlines()[0]
