"""The tables that a person sees in the terminal, all of one look."""

from rich import box
from rich.table import Table


def make_table(title: str, *columns: str) -> Table:
    """A table without vertical lines, which leaves room for names on narrow screens.

    Args:
        title: Above it.
        columns: Names of columns of text, which is folded where it is too long.
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
