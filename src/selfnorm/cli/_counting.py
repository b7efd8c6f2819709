"""A live count of rows on a terminal, without torch."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.progress import Progress, Task, TextColumn

from selfnorm.cli._console import problems


class _Rate(TextColumn):
    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Rows a second of late."""
        return f"{task.speed:,.0f} a second" if task.speed else ""


@contextmanager
def counting_rows(before: int = 0, done: str = "predicted") -> Generator[Callable[[int], None]]:
    """Inside, whoever tells how many rows are done so far shows it; nothing of it stays.

    Args:
        before: How many were done already.
        done: What is done with them.
    """
    if not problems.is_terminal:
        yield lambda _: None  # older versions of rich would end a count with an empty line
        return
    columns = TextColumn(f"{{task.completed:,}} rows {done}"), _Rate()
    with Progress(*columns, console=problems, transient=True) as shown:
        task = shown.add_task("", total=None, completed=before)
        yield lambda rows: shown.update(task, completed=rows)
