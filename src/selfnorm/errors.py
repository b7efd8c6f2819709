"""Every error and warning that selfnorm raises on purpose: the rule, what came, what to do.

Each one is also the built-in that a caller would expect (`ValueError`, `TypeError`, ...), so code
written against torch or scikit-learn catches it without knowing selfnorm.
"""


class SelfNormError(Exception):
    """The parent of all of selfnorm's errors; the command line prints it in one line."""


class ArgumentError(SelfNormError, ValueError):
    """An argument breaks a rule: a value out of range, an unknown name, shapes that do not fit."""


class UnsupportedError(SelfNormError, TypeError):
    """The kind of thing given is not one that this function handles: a dtype, a layer, a column."""


class TableError(SelfNormError, ValueError):
    """A table cannot be used: unreadable, empty, ragged, or without what the task needs.

    Attributes:
        options: The options of the command line that mend it, for there alone.
    """

    def __init__(self, message: str = "", *, options: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.options = options


class ModelFolderError(SelfNormError, OSError):
    """A model folder cannot be read or written: damaged, of another version, or not empty."""


class CheckpointError(SelfNormError, OSError):
    """A checkpoint cannot be gone on from, or its folder is in use: it tells what differs."""


class AuditError(SelfNormError, RuntimeError):
    """`audit(..., strict=True)` found errors or warnings.

    Attributes:
        report: The report that holds them.
    """

    def __init__(self, message: str, report: object = None) -> None:
        super().__init__(message)
        self.report = report

    def __reduce__(self) -> tuple[type["AuditError"], tuple[str, object]]:
        return AuditError, (str(self), self.report)


class MissingPackageError(SelfNormError, ImportError):
    """A package that only this part of selfnorm needs is not installed; it names the extra."""


class SelfNormWarning(UserWarning):
    """Something that does not stop the work but that a user should know."""
