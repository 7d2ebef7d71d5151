"""Show the progress of long work: one bar, on the error stream."""

from typing import Any

__all__ = ["progress_bar"]


def progress_bar(*columns: Any, shown: bool = True) -> Any:
    """Return a rich `Progress` of a task's description, its bar, `columns`, and two named times.

    Bars go to the error stream, so that results can be piped, where that is a terminal; a log has
    the lines that are printed beside.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        *(columns or (TextColumn("{task.completed:.0f}/{task.total:.0f}"),)),
        TimeElapsedColumn(),
        TextColumn("elapsed,"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=console,
        refresh_per_second=2,
        disable=not (shown and console.is_terminal),
    )
