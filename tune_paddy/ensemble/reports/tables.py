"""The style of all tables in the terminal."""

from rich import box
from rich.table import Table


def make_table(title: str, *columns: str) -> Table:
    """Return a table without vertical lines, which leaves room for names on narrow screens.

    Args:
        title: Title above the table.
        columns: Names of text columns; text that is too long is wrapped.
    """
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
