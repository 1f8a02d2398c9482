"""One folder of a storage never holds the files of two searches."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import Finished
from tune_paddy.core.errors import InputError
from tune_paddy.data.storage.storage import Storage
from tune_paddy.search.cluster import claims
from tune_paddy.search.cluster.claims import OWNER, claimed
from tune_paddy.search.plan import stored_split
from tune_paddy.search.recording import recorded_search
from tune_paddy.tracking.runs import list_searches


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage.at(str(tmp_path)).folder("night")


def claim(storage: Storage, run_id: str, known: str | None = None) -> None:
    with claimed(storage, known) as claim_for:
        claim_for(run_id)


def test_a_folder_is_claimed_once_and_for_the_same_search_again(storage: Storage) -> None:
    claim(storage, "run-1")
    claim(storage, "run-1", known="run-1")
    for known in (None, "run-2"):
        with pytest.raises(InputError, match="night has the files of another search of this name; choose"):
            claim(storage, "run-2", known=known)


def test_two_searches_that_find_the_folder_free_at_once_do_not_both_begin(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with claimed(storage, None) as first:
        with monkeypatch.context() as patch:
            patch.setattr(claims, "_require_free", lambda *_: None)  # it looked before the first wrote
            claim(storage, "run-2")
        with pytest.raises(InputError, match="another search of this name"):
            first("run-1")
    assert storage.read(OWNER) == b'{"run": "run-2"}'


def test_a_search_that_opens_its_run_keeps_others_out_and_gives_the_folder_back_if_it_fails(
    storage: Storage,
) -> None:
    refused = rf"begins in .*night now, on .*, or remove {OWNER} there if"
    with pytest.raises(InputError, match=refused), claimed(storage, None):
        claim(storage, "run-2")
    assert storage.files() == {}


@pytest.mark.parametrize("known", [None, "run-1"])
def test_a_reservation_of_a_process_that_was_killed_is_void(storage: Storage, known: str | None) -> None:
    storage.write(OWNER, json.dumps({"process": ":0:0.00", "mark": "00"}).encode())
    claim(storage, "run-1", known=known)
    assert storage.read(OWNER) == b'{"run": "run-1"}'


def test_a_search_whose_folder_is_taken_is_not_recorded(finished: Finished, tmp_path: Path) -> None:
    plan, store = finished.plan, finished.store
    settings = plan.settings.model_copy(update={"storage": str(tmp_path / "storage")})
    taken = replace(plan, name="taken", folder=tmp_path / "runs" / "taken", settings=settings)
    Storage.at(str(tmp_path / "storage")).folder("taken").write(OWNER, b'{"run": "of another record"}')
    with (
        pytest.raises(InputError, match="taken has the files of another search"),
        recorded_search(taken, stored_split(plan), store, new=True),
    ):
        pass
    assert "taken" not in [search.name for search in list_searches(store)]
