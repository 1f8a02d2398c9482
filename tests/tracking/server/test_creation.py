from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowException

from tune_paddy.tracking import client as calls
from tune_paddy.tracking import members
from tune_paddy.tracking.members import fail_member, start_member
from tune_paddy.tracking.runs import list_members
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.store import Store, open_store

LOST = MlflowException(
    "API request to http://host:5000/api failed: ('Connection aborted.', RemoteDisconnected)"
)


@pytest.fixture
def lossy(store: Store, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A record that carries out the next request of a kind, but whose answer is lost."""
    client = store.client

    def lose(method: str) -> None:
        send, lost = getattr(type(client), method), []

        def once(*arguments: object, **options: object) -> object:
            answer = send(*arguments, **options)
            if not lost:
                lost.append(answer)
                raise LOST
            return answer

        monkeypatch.setattr(type(client), method, once)

    monkeypatch.setattr(calls, "pauses", lambda: iter([0.0] * 9))
    return lose


def test_a_run_whose_creation_was_not_answered_is_not_created_again(
    store: Store, lossy: Callable[[str], None]
) -> None:
    parent = start_search(store, name="night")
    lossy("create_run")
    run = start_member(store, search="night", member="a", parent_run_id=parent, params={"arch": "net"})
    assert [member.run_id for member in list_members(store, "night")] == [run]


def test_a_search_whose_creation_was_not_answered_has_one_run(
    store: Store, lossy: Callable[[str], None]
) -> None:
    lossy("create_run")
    run = start_search(store, name="night")
    found = store.client.search_runs([store.experiment_id])
    assert [known.info.run_id for known in found] == [run]


def test_a_run_that_a_late_request_creates_as_well_is_deleted(
    store: Store, lossy: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first request is carried out after the second: the record has no run between the two."""
    parent = start_search(store, name="night")
    find, asked = members._find_members, []

    def late(*arguments: object) -> object:
        asked.append(arguments)
        return [] if len(asked) <= 2 else find(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(members, "_find_members", late)
    lossy("create_run")
    run = start_member(store, search="night", member="a", parent_run_id=parent, params={"arch": "net"})
    assert [member.run_id for member in list_members(store, "night")] == [run]


def test_a_tag_whose_deletion_was_not_answered_is_gone(store: Store, lossy: Callable[[str], None]) -> None:
    parent = start_search(store, name="night")
    first = start_member(store, search="night", member="a", parent_run_id=parent, params={"arch": "net"})
    fail_member(store, first, "its process died", "interrupted")
    lossy("delete_tag")
    again = start_member(store, search="night", member="a", parent_run_id=parent, params={"arch": "net"})
    assert again == first
    assert [member.failure for member in list_members(store, "night")] == [""]


def test_an_experiment_whose_creation_was_not_answered_is_used(
    store: Store, lossy: Callable[[str], None], tmp_path: Path
) -> None:
    lossy("create_experiment")
    other = open_store(store.tracking_uri, experiment="other", artifact_root=tmp_path, create=True)
    found = store.client.get_experiment_by_name("other")
    assert found is not None
    assert found.experiment_id == other.experiment_id
