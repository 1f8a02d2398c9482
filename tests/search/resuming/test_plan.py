"""A finished search planned again from its record alone, and the changes that a resume refuses."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import SPACE, Finished, searched
from tune_paddy.core.errors import InputError
from tune_paddy.data.dataset import Dataset
from tune_paddy.search.lock import search_lock
from tune_paddy.search.plan import SearchPlan
from tune_paddy.search.resuming.compatibility import check_same
from tune_paddy.search.resuming.history import earlier_sessions, outcomes_with_curve, past_trial
from tune_paddy.search.resuming.plan import resumed_plan
from tune_paddy.spaces.space import SearchSpace
from tune_paddy.tracking.history import RecordedMember, read_recorded_search
from tune_paddy.tracking.runs import get_search
from tune_paddy.tracking.schema import MemberRecord, SearchRecord


@pytest.fixture(scope="module")
def again(finished: Finished) -> SearchPlan:
    return resumed_plan(get_search(finished.store, "first"), finished.store, settings={"concurrency": 1})


def test_a_name_is_enough_to_plan_a_search_again(finished: Finished, again: SearchPlan) -> None:
    assert again.space.fingerprint == finished.plan.space.fingerprint
    assert again.dataset.fingerprint == finished.plan.dataset.fingerprint
    assert again.folder == finished.plan.folder.absolute()
    assert again.settings == finished.plan.settings.override({"concurrency": 1})


def test_images_are_read_again_as_they_were(finished: Finished, again: SearchPlan) -> None:
    used = finished.plan.dataset.options
    assert again.dataset.options == replace(used, skip_corrupt=True, skip_conflicts=True)


@pytest.mark.parametrize(
    ("recorded", "now", "name"),
    [
        ({"reading": '{"copies": "near"}'}, {"copies": "exact"}, "copies"),
        ({"reading": '{"copies": "near", "pixel_range": "0,4095"}'}, {"pixel_range": "0,255"}, "pixel_range"),
        ({"reading": ""}, {"pixel_range": "0,255"}, "pixel_range"),
        ({"reading": '{"copies": "near"}'}, {"ordinal": True}, "task"),
    ],
)
def test_another_way_of_reading_the_images_is_refused(
    finished: Finished, recorded: dict[str, str], now: dict[str, str], name: str
) -> None:
    """The fingerprint of the dataset does not depend on it. Earlier versions recorded nothing."""
    search = get_search(finished.store, "first")
    tags = {**search.tags, **{f"tune_paddy.{tag}": text for tag, text in recorded.items()}}
    with pytest.raises(InputError, match=f"search 'first' keeps its `{name}`") as refusal:
        resumed_plan(replace(search, tags=tags), finished.store, settings={}, reading=now)
    assert refusal.value.options == (name,)


def test_a_finished_search_has_nothing_left_unless_a_resume_raises_trials(
    finished: Finished, again: SearchPlan
) -> None:
    recorded = read_recorded_search(finished.store, "first", curves_of=outcomes_with_curve(again))
    earlier = earlier_sessions(again, recorded)
    assert [trial.value is None for trial in earlier.trials] == [False, False, True, False]
    assert not earlier.leaves_work(again)
    more = replace(again, settings=again.settings.override({"trials": 9}))
    assert earlier.leaves_work(more)
    nearly = replace(earlier, seconds=59 * 60.0)  # a quarter of the last minute is kept for the selection
    assert nearly.leaves_work(replace(more, settings=more.settings.override({"minutes": 60})))
    spent = replace(earlier, seconds=60 * 60.0)
    assert not spent.leaves_work(replace(more, settings=more.settings.override({"minutes": 60})))
    assert not earlier.leaves_work(replace(more, settings=more.settings.override({"minutes": 1e-9})))
    assert earlier_sessions(replace(again, retry_failed=True), recorded).leaves_work(again)


@pytest.mark.parametrize(
    ("now", "goes_on"),
    [
        ({}, False),
        ({"stop_when_flat": False}, True),
        ({"minutes": 120}, True),
        ({"minutes": 60}, False),
        ({"trials": 41}, True),
        ({"trials": 39}, False),
    ],
)
def test_a_search_that_ended_flat_goes_on_without_the_setting_or_with_a_longer_budget(
    finished: Finished, again: SearchPlan, now: dict[str, object], goes_on: bool
) -> None:
    before = again.settings.override({"stop_when_flat": True, "trials": 40, "minutes": 60})
    recorded = read_recorded_search(finished.store, "first", curves_of=outcomes_with_curve(again))
    record = replace(recorded.record, settings=before.model_dump(mode="json"), ended_by="flat")
    plan = replace(again, settings=before.override(now))
    assert earlier_sessions(plan, replace(recorded, record=record)).leaves_work(plan) == goes_on
    assert earlier_sessions(plan, replace(recorded, record=replace(record, ended_by=""))).leaves_work(plan)


def test_resuming_a_finished_search_changes_nothing(finished: Finished, again: SearchPlan) -> None:
    members = searched(again, finished.store)
    assert [(m.name, m.outcome) for m in members] == [(m.name, m.outcome) for m in finished.members]
    assert get_search(finished.store, "first").outcome == "finished"


@pytest.mark.parametrize(
    ("content", "reason"),
    [("Blätter\n".encode("latin-1"), "'utf-8' codec"), (bytes(2**20 + 1), "is larger than 1 MiB")],
    ids=["latin-1", "large"],
)
def test_a_recorded_space_that_cannot_be_read_must_be_given_again(
    finished: Finished, tmp_path: Path, content: bytes, reason: str
) -> None:
    search = get_search(finished.store, "first")
    search = replace(search, tags={**search.tags, **SearchRecord.tags_of(folder=tmp_path)})
    path = Path(search.artifact_uri.removeprefix("file://")) / "space.yaml"
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        with pytest.raises(InputError, match=f"no readable space.yaml .*{reason}.*; give `space` again"):
            resumed_plan(search, finished.store, settings={})
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize("odd", [{"settings": "{"}, {"settings": '{"unheard": 1}'}, {"folder": ""}])
def test_a_search_of_another_version_is_refused_in_one_line(finished: Finished, odd: dict[str, str]) -> None:
    search = get_search(finished.store, "first")
    tags = {**search.tags, **{f"tune_paddy.{name}": text for name, text in odd.items()}}
    with pytest.raises(InputError, match="search 'first' was recorded by another version") as refusal:
        resumed_plan(replace(search, tags=tags), finished.store, settings={})
    assert "\n" not in str(refusal.value)


def test_a_member_without_its_proposal_is_refused_in_one_line(finished: Finished) -> None:
    odd = replace(finished.members[0], tags={"tune_paddy.proposal": "[]"})
    with pytest.raises(InputError, match=r"'0000-.*' was recorded without its proposal") as refusal:
        past_trial(RecordedMember(odd, MemberRecord.from_run(odd), {}), True)
    assert "\n" not in str(refusal.value)


def test_another_space_is_refused_with_the_lines_that_changed(finished: Finished, again: SearchPlan) -> None:
    changed = SearchSpace.parse(SPACE.replace("size: 32", "size: 48"), name="tiny")
    with pytest.raises(InputError, match="not the one that search 'first' began with") as error:
        check_same(replace(again, space=changed), read_recorded_search(finished.store, "first"))
    assert "\n  -  {pretrained: false, schedule: one_cycle, size: 32" in str(error.value)
    assert "\n  +  {pretrained: false, schedule: one_cycle, size: 48" in str(error.value)


def test_another_seed_is_another_split_and_is_refused(finished: Finished, again: SearchPlan) -> None:
    plan = replace(again, settings=again.settings.override({"seed": 7}))
    with pytest.raises(InputError, match=r"settings that cannot change.*\n  seed: 42 → 7"):
        check_same(plan, read_recorded_search(finished.store, "first"))


def test_a_resumed_search_uses_the_licences_that_it_began_with(finished: Finished) -> None:
    """A space that is given again is read in the same way; its tiny relatives come afterwards."""
    search = get_search(finished.store, "first")
    settings = finished.plan.settings.override({"licences": "commercial"})
    tags = {**search.tags, **SearchRecord.tags_of(settings=settings.model_dump(mode="json"))}
    closed = "convnextv2_atto.fcmae_ft_in1k"
    space = SearchSpace.parse(f"recipes: [{{arch: {closed}}}, {{arch: test_resnet.r160_in1k}}]", name="two")
    plan = resumed_plan(replace(search, tags=tags), finished.store, settings={}, space=space)
    assert plan.space.architectures() == ("test_resnet.r160_in1k",)
    assert plan.space.left_out is not None
    assert list(plan.space.left_out.archs) == [closed]


def test_other_licences_are_another_search(finished: Finished, again: SearchPlan) -> None:
    """Earlier versions did not record the setting: their searches used any weights."""
    recorded = read_recorded_search(finished.store, "first")
    plan = replace(again, settings=again.settings.override({"licences": "commercial"}))
    old = {name: value for name, value in recorded.settings.items() if name != "licences"}
    for known in (recorded, replace(recorded, settings=old)):
        with pytest.raises(InputError, match=r"settings that cannot change.*\n  licences: any → commercial"):
            check_same(plan, known)
        check_same(again, known)


def test_another_storage_is_refused_since_the_files_are_in_the_first(
    finished: Finished, again: SearchPlan
) -> None:
    recorded = read_recorded_search(finished.store, "first")
    plan = replace(again, settings=again.settings.override({"storage": "/elsewhere"}))
    old = {name: value for name, value in recorded.settings.items() if name != "storage"}
    for known in (recorded, replace(recorded, settings=old)):
        with pytest.raises(InputError, match=r"settings that cannot change.*\n  storage: None → /elsewhere"):
            check_same(plan, known)


def test_licences_that_timm_states_differently_now_are_named(finished: Finished, again: SearchPlan) -> None:
    """The text of the space is the recorded one, but another part of it is used."""
    settings = again.settings.override({"licences": "commercial"})
    recorded = read_recorded_search(finished.store, "first")
    plan = replace(again, settings=settings, space=replace(again.space, recipes=again.space.recipes[:1]))
    with pytest.raises(
        InputError, match="'first' began: timm states other licences now; install the"
    ) as error:
        check_same(plan, replace(recorded, settings=settings.model_dump(mode="json")))
    assert "\n" not in str(error.value)


def test_another_dataset_is_refused_and_the_images_that_changed_are_named(
    finished: Finished, again: SearchPlan, small_digits: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(small_digits, tmp_path / "digits")
    with (folder / "train.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    gone, moved, edited = rows[0], rows[1], rows[2]
    other = next(label for _, label in rows if label != moved[1])
    (folder / "train_images" / gone[1] / gone[0]).unlink()
    source = folder / "train_images" / moved[1] / moved[0]
    source.rename(folder / "train_images" / other / moved[0])
    with (folder / "train_images" / edited[1] / edited[0]).open("ab") as file:
        file.write(b"\0")
    with (folder / "train.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, [moved[0], other], *rows[2:]])
    plan = replace(again, dataset=Dataset.open(folder))
    with pytest.raises(
        InputError, match="holds other images or labels than when search 'first' began"
    ) as error:
        check_same(plan, read_recorded_search(finished.store, "first"))
    lines = set(str(error.value).splitlines()[1:])
    assert lines == {
        f"  labelled image {gone[0]}: is missing",
        f"  labelled image {moved[0]}: label {moved[1]} → {other}",
        f"  labelled image {edited[0]}: the file has changed",
    }


def test_two_processes_never_run_one_search(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    with (
        search_lock(folder, "mine"),
        pytest.raises(InputError, match="'mine' is running in another process"),
        search_lock(folder, "mine"),
    ):
        pass
    assert not folder.exists(), "nothing started, so the name stays free"
    with search_lock(folder, "mine"):
        (folder / "members").mkdir()
    assert (folder / "members").exists()
