"""CSV files from outside, read as text."""

import csv
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tune_paddy.core.errors import InputError


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV, every value as the text that stands there; an empty field is an empty text.

    Raises:
        InputError: The file is missing, empty, not UTF-8, or no CSV.
    """
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, na_filter=False, encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8") from error
    except pd.errors.EmptyDataError:
        raise InputError(f"{path}: the file is empty; it needs a header line") from None
    except (pd.errors.ParserError, csv.Error, OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable CSV: {str(error).splitlines()[0]}") from error


def require_columns(table: pd.DataFrame, columns: Sequence[str], path: Path) -> None:
    """Check that a table has columns.

    Raises:
        InputError: It lacks one; the message names those it has.
    """
    missing = [column for column in columns if column not in table.columns]
    if missing:
        has = ", ".join(map(str, table.columns))
        raise InputError(f"{path}:1: there is no column {missing[0]!r}; it has {has}")
