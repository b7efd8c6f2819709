"""A fit's checkpoint in the folder of the model to be: held, gone on from, and told of."""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from selfnorm.cli._console import fail, problems, tell
from selfnorm.cli._interrupt import INTERRUPTED, TERMINATED, held

if TYPE_CHECKING:
    from selfnorm.training import Checkpoint, Processes

_SIGNALS = {TERMINATED: "SIGTERM", INTERRUPTED: "Ctrl-C"}


@contextmanager
def checkpointed(
    folder: Path,
    resume: bool | None,
    *,
    force: bool,
    cv: int | None,
    tune: int | None,
    processes: "Processes | None" = None,
) -> Generator["Checkpoint"]:
    """Hold the folder of a model to be, once it is sure that it can be written.

    What ends a training before there is a result is told, with how to go on.

    Args:
        folder: The model's folder, or its file.
        resume: Whether to go on from a checkpoint that is there, or to discard it; None refuses.
        force: Whether a model that is there may be written over.
        cv: What else has to be the same to go on.
        tune: Likewise.
        processes: Those that train together, of which the first writes; None if this one is alone.

    Raises:
        ModelFolderError: the folder cannot be written to, or holds something else.
        CheckpointError: another training writes into it, or was cut off.
    """
    from selfnorm.tabular._container import checkpoint_of
    from selfnorm.tabular._storage import check_output
    from selfnorm.training import Checkpoint
    from selfnorm.training._processes import ALONE

    place, processes = checkpoint_of(folder), processes or ALONE
    about = {"cv": cv, "tune": tune}
    checkpoint = Checkpoint(place, resume=resume, about=about, processes=processes)
    if processes.rank:
        with checkpoint:
            yield checkpoint
        return
    with ExitStack() as stack:
        stack.enter_context(held(checkpoint.leave))
        before = place.is_dir()
        if before:  # what is under way or was cut off comes before whether a model is there
            stack.enter_context(checkpoint)
        going = checkpoint.resume is True and checkpoint.exists
        check_output(folder, force=force or going)
        if not before:
            stack.enter_context(checkpoint)
        if going:
            tell(f"The training goes on from the checkpoint in {place}/.")
        elif resume:
            tell("There is no checkpoint to go on from; the training starts.")
        try:
            yield checkpoint
        except KeyboardInterrupt:
            if not checkpoint.exists:
                raise
            fail(f"Stopped by Ctrl-C; a checkpoint is in {place}/. Go on from it with --resume.")
        except SystemExit as end:
            if end.code in _SIGNALS and checkpoint.exists:
                by = _SIGNALS[end.code]
                problems.print(f"Stopped by {by}; a checkpoint is in {place}/: --resume.")
            raise
