"""Tags on MLflow's pages: few for people, and every record of version 0.2.0 is still read."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tracking.test_schema import ENSEMBLE_TAGS, MEMBER, MEMBER_TAGS, SEARCH, SEARCH_TAGS, SENT_TAGS
from tune_paddy.tracking.members import fail_member, start_member
from tune_paddy.tracking.runs import find_tagged, get_search, list_members
from tune_paddy.tracking.schema import (
    KIND,
    PROCESS,
    SELECTION,
    EnsembleRecord,
    MemberRecord,
    SearchRecord,
    SubmissionRecord,
)
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.store import Store
from tune_paddy.tracking.ui.tags import known_tags, stored_tags
from tune_paddy.tracking.writing import set_tags

MOST = 6

names = st.sampled_from([*SEARCH_TAGS, *MEMBER_TAGS, *ENSEMBLE_TAGS, *SENT_TAGS, PROCESS, "mlflow.user"])


def visible(store: Store, run_id: str) -> set[str]:
    """Names of the tags that MLflow's page of a run lists."""
    return {name for name in store.client.get_run(run_id).data.tags if not name.startswith("mlflow.")}


def test_the_page_of_every_run_lists_at_most_six_tags(store: Store) -> None:
    """A search with all inputs, a member that failed after a warning, and a scored ensemble."""
    search = start_search(store, name="road-1", tags=SEARCH.to_tags())
    member = start_member(
        store, search="road-1", member="0007-net", parent_run_id=search, params={}, tags=MEMBER.to_tags()
    )
    fail_member(store, member, "out of memory", "failed")
    ensemble = store.client.create_run(store.experiment_id).info.run_id
    everyone = {KIND: "ensemble", "tune_paddy.search": "road-1", "tune_paddy.outcome": "finished"}
    set_tags(store.client, ensemble, {**everyone, **ENSEMBLE_TAGS, **SENT_TAGS})
    for run_id in (search, member, ensemble):
        shown = visible(store, run_id)
        assert {"tune_paddy.kind", "tune_paddy.search", "tune_paddy.outcome"} <= shown
        assert len(shown) <= MOST
    assert {"tune_paddy.failure", "tune_paddy.notes"} <= visible(store, member)


def test_a_retried_member_shows_no_failure(store: Store) -> None:
    search = start_search(store, name="night")
    arguments: Any = {"search": "night", "member": "0000-net", "parent_run_id": search, "params": {}}
    fail_member(store, start_member(store, **arguments), "out of memory", "failed")
    assert "tune_paddy.failure" not in visible(store, start_member(store, **arguments))


@given(st.dictionaries(names, st.text(min_size=1)))
def test_tags_survive_a_round_trip_through_the_store(tags: dict[str, str]) -> None:
    assert known_tags(stored_tags(tags)) == tags


@pytest.mark.parametrize(
    ("record", "tags"),
    [
        (SearchRecord, SEARCH_TAGS),
        (MemberRecord, MEMBER_TAGS),
        (EnsembleRecord, ENSEMBLE_TAGS),
        (SubmissionRecord, SENT_TAGS),
    ],
)
def test_a_record_of_version_0_2_0_is_read_as_one_of_today(record: Any, tags: dict[str, str]) -> None:
    """That version wrote every tag without the prefix that hides it."""
    assert record.from_tags(known_tags(tags)) == record.from_tags(known_tags(stored_tags(tags)))


def test_a_search_of_version_0_2_0_that_is_resumed_has_its_new_values(store: Store) -> None:
    """Its run has both forms of a tag; the newer one counts."""
    tags = {"tune_paddy.kind": "search", "tune_paddy.search": "old", "tune_paddy.space_base": "/old"}
    run_id = store.client.create_run(store.experiment_id, tags=tags).info.run_id
    assert str(SearchRecord.from_run(get_search(store, "old")).space_base) == "/old"
    set_tags(store.client, run_id, SearchRecord.tags_of(space_base="/new"))
    assert str(SearchRecord.from_run(get_search(store, "old")).space_base) == "/new"


def test_an_ensemble_is_found_by_its_digest_whichever_version_recorded_it(store: Store) -> None:
    search = start_search(store, name="night")
    found = []
    for tags in (ENSEMBLE_TAGS, stored_tags(ENSEMBLE_TAGS)):
        run = store.client.create_run(store.experiment_id, tags={KIND: "ensemble", **tags})
        found.append(run.info.run_id)
    runs = find_tagged(store, SELECTION, ENSEMBLE_TAGS[SELECTION], f"tags.`{KIND}` = 'ensemble'")
    assert [run.info.run_id for run in runs] == found
    assert not find_tagged(store, SELECTION, "none", f"tags.`{KIND}` = 'ensemble'")
    assert search not in found
    assert not list_members(store, "night")
