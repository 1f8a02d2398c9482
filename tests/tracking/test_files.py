from pathlib import Path

import pytest

from tune_paddy.core.errors import InputError
from tune_paddy.tracking.files import log_files, read_file
from tune_paddy.tracking.runs import get_search
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.store import Store


def test_a_file_above_its_size_limit_is_not_read(store: Store, tmp_path: Path) -> None:
    """The message names the run instead of the path."""
    run_id = start_search(store, name="night")
    for name, size in (("small", 2**20), ("large", 2**20 + 1)):
        (tmp_path / name).write_bytes(bytes(size))
        log_files(store, run_id, [tmp_path / name])
    run = get_search(store, "night")
    assert len(read_file(store, run, "small", most=1, what="a thing")) == 2**20
    with pytest.raises(
        InputError, match=f"^run {run_id}/large: is larger than 1 MiB, so it cannot be a thing$"
    ):
        read_file(store, run, "large", most=1, what="a thing")
