"""Print results as a table."""

from collections.abc import Sequence

from colliderkit.report.results import Result

__all__ = ["show"]


def show(title: str, results: Sequence[Result]) -> None:
    """Print a row a quantity and a column a subject; of many subjects, a row a subject."""
    from rich.console import Console
    from rich.table import Table

    subjects = list(dict.fromkeys(result.subject for result in results))
    quantities = list(dict.fromkeys(result.quantity for result in results))
    cells = {(result.subject, result.quantity): result.ours() for result in results}
    if len(subjects) > len(quantities):
        table = Table("", *quantities, title=title)
        for subject in subjects:
            table.add_row(subject, *(cells.get((subject, q), "") for q in quantities))
    else:
        table = Table("quantity ± counting error", *subjects, title=title)
        for quantity in quantities:
            table.add_row(quantity, *(cells.get((subject, quantity), "") for subject in subjects))
    console = Console()
    # In a file the width is not that of a window.
    Console(width=None if console.is_terminal else 160).print(table)
