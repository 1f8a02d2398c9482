"""The folder of a search in a storage belongs to one search of one record."""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.storage.storage import Storage
from tune_paddy.data.system.patience import impatient
from tune_paddy.tracking.context.provenance import host_of, is_gone, this_process

OWNER = "search.json"
"""File in a search's folder of the storage that names its run in the record, or the process that opens it."""


@contextmanager
def claimed(storage: Storage, run_id: str | None) -> Iterator[Callable[[str], None]]:
    """Reserve a search's folder while its run is opened, so that nothing is recorded if it is taken.

    A storage has no lock: two searches may both find the folder free. The last reservation stays, and a
    search that does not find its own after it has opened its run ends.

    Args:
        storage: Folder of the search in the storage.
        run_id: Run of the search, if the record has it already.

    Yields:
        Function that claims the folder for the run; it raises an InputError if another search reserved it.

    Raises:
        InputError: The folder belongs to another search.
        TunePaddyError: The storage failed.
    """
    _require_free(storage, run_id)
    if run_id is not None and _read(storage).get("run") == run_id:
        yield lambda _: None
        return
    mark, claims = secrets.token_hex(8), list[str]()
    _write(storage, {"process": this_process(), "mark": mark})

    def claim(opened: str) -> None:
        if _read(storage).get("mark") != mark:
            raise _taken(storage)
        _write(storage, {"run": opened})
        claims.append(opened)

    try:
        yield claim
    finally:
        if not claims:
            _release(storage, mark)


def _require_free(storage: Storage, run_id: str | None) -> None:
    owner = _read(storage)
    if not owner or (run_id is not None and owner.get("run") == run_id):
        return
    process = str(owner.get("process", ""))
    if "run" in owner or not process:
        raise _taken(storage)
    if not is_gone(process):
        raise InputError(
            f"storage: a search of this name begins in {storage} now, on {host_of(process)}; choose another "
            f"name, or remove {OWNER} there if that search does not run",
            options=("storage",),
        )


def _taken(storage: Storage) -> InputError:
    return InputError(
        f"storage: {storage} has the files of another search of this name; choose another name or "
        "storage, or remove that folder",
        options=("storage",),
    )


def _release(storage: Storage, mark: str) -> None:
    """Give a reservation back, unless it is another search's by now."""
    # A storage that fails now keeps it; the next search says what to do.
    with suppress(TunePaddyError), impatient():
        if _read(storage).get("mark") == mark:
            storage.remove(OWNER)


def _read(storage: Storage) -> Mapping[str, Any]:
    """Return the content of the file; without keys: there is none."""
    content = storage.read(OWNER)
    if content is None:
        return {}
    try:
        owner = json.loads(content)
    except ValueError:
        owner = None
    return owner if owner and isinstance(owner, dict) else {"run": ""}


def _write(storage: Storage, owner: Mapping[str, str]) -> None:
    storage.write(OWNER, json.dumps(owner).encode())
