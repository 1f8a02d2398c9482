"""Tables whose text shows every column, whatever the width of the terminal."""

import shutil
from collections.abc import Callable

import pandas as pd


class Table(pd.DataFrame):
    """A DataFrame that prints its columns in blocks below each other, where pandas would hide some.

    What is computed from it is a plain DataFrame.
    """

    @property
    def _constructor(self) -> Callable[..., pd.DataFrame]:
        return pd.DataFrame

    def __repr__(self) -> str:
        return self.to_string(
            line_width=shutil.get_terminal_size().columns,
            max_rows=pd.get_option("display.max_rows"),
            min_rows=pd.get_option("display.min_rows"),
        )
