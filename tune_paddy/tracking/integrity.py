"""Check of a local record's database: a damaged page must not be built upon."""

import sqlite3
import urllib.parse
from contextlib import closing
from pathlib import Path
from shlex import quote

from tune_paddy.core.errors import InputError
from tune_paddy.data.system.text import shown

LOCK_SECONDS = 60.0
"""Time to wait for a database that another program has locked, in seconds."""

DAMAGED = ("malformed", "file is not a database")
"""Parts of SQLite's messages on a file whose pages, or whose first one, are not those of a database."""


class DamagedError(InputError):
    """Database with a page that is not sound."""


def check_integrity(path: Path) -> None:
    """Read every page of an SQLite database, and refuse a damaged one.

    Args:
        path: Path of an existing database.

    Raises:
        DamagedError: A page is damaged; the message says what to do.
        InputError: The database stays locked.
    """
    if not path.is_file():
        return  # a pipe would be waited for; whoever opens it next says what it is
    address = f"file:{urllib.parse.quote(str(path))}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=LOCK_SECONDS)) as database:
            rows = database.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):
            raise _locked(path) from None
        if not any(words in str(error) for words in DAMAGED):
            return  # not readable: whoever opens it next says so
        raise _damaged(path, str(error)) from error
    if rows != [("ok",)]:
        raise _damaged(path, str(rows[0][0]))


def _locked(path: Path) -> InputError:
    return InputError(
        f"{shown(path)}: the database stays locked: another program writes to it, or its storage has no file "
        "locks; end that program, or keep the record on a local disk"
    )


def _damaged(path: Path, problem: str) -> DamagedError:
    first = shown(problem.strip().splitlines()[-1])
    return DamagedError(
        f"{shown(path)}: the database is damaged ({first}), and nothing was written: put back a copy, or "
        f"read what is left with `sqlite3 {quote(shown(path))} .recover`"
    )
