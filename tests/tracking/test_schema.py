"""The record's text format is stable: earlier records are read, and written the same way."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_paddy.core.config import MemberConfig, SearchSettings
from tune_paddy.data.submission.form import Kind, SubmissionFormat
from tune_paddy.tracking.members import start_member
from tune_paddy.tracking.runs import get_search, list_members
from tune_paddy.tracking.schema import (
    EnsembleRecord,
    MemberRecord,
    RecordedProposal,
    SearchRecord,
    SubmissionRecord,
)
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.store import Store

SETTINGS = {"trials": 3, "minutes": None, "gpu": "auto", "scheduler": "asha", "select_share": 0.25}
CONFIG = MemberConfig(arch="test_resnet", size=(32, 48), lr=0.01, seed=7)
PROPOSAL = (
    '{"number": 7, "origin": "nets", "config": '
    + json.dumps(MemberConfig(arch="test_resnet", size=(32, 48), lr=0.01, seed=7).model_dump(mode="json"))
    + "}"
)

SEARCH_TAGS = {
    "tune_paddy.dataset": "/data/paddy",
    "tune_paddy.dataset_path": "/data/paddy.zip",
    "tune_paddy.dataset_fingerprint": "d1",
    "tune_paddy.skip_corrupt": "True",
    "tune_paddy.skip_conflicts": "False",
    "tune_paddy.competition": "paddy-disease-classification",
    "tune_paddy.split": "5p",
    "tune_paddy.space": "road",
    "tune_paddy.space_fingerprint": "f5",
    "tune_paddy.space_base": "",
    "tune_paddy.stand_ins": "True",
    "tune_paddy.weights_dir": "",
    "tune_paddy.ray_address": "",
    "tune_paddy.id_column": "image",
    "tune_paddy.label_column": "class",
    "tune_paddy.folder": "/runs/road-1",
    "tune_paddy.settings": json.dumps(SETTINGS),
    "tune_paddy.asked": '{"method": "auto", "refit": null}',
    "tune_paddy.command": "tune-paddy search /data/paddy.zip",
    "tune_paddy.seconds": "120",
    "tune_paddy.refit_of": "road-1, road-2",
    "tune_paddy.refit_of_ensemble": "ab12",
    "mlflow.source.git.commit": "c0ffee-dirty",
}
SEARCH = SearchRecord(
    dataset=Path("/data/paddy"),
    dataset_path=Path("/data/paddy.zip"),
    dataset_fingerprint="d1",
    skip_corrupt=True,
    competition="paddy-disease-classification",
    split="5p",
    space="road",
    space_fingerprint="f5",
    stand_ins=True,
    id_column="image",
    label_column="class",
    folder=Path("/runs/road-1"),
    settings=SETTINGS,
    follow_up={"method": "auto", "refit": None},
    command="tune-paddy search /data/paddy.zip",
    seconds=120,
    refit_of=("road-1", "road-2"),
    refit_of_ensemble="ab12",
    revision="c0ffee-dirty",
)

MEMBER_TAGS = {
    "tune_paddy.trial": "7",
    "tune_paddy.origin": "nets",
    "tune_paddy.proposal": PROPOSAL,
    "tune_paddy.arch": "test_resnet",
    "tune_paddy.attempts": "2",
    "tune_paddy.split": "5p",
    "tune_paddy.folder": "/runs/road-1/members/0007-test_resnet-32x48",
    "tune_paddy.gpu_share": "0.125",
    "tune_paddy.device": "cuda",
    "tune_paddy.gpu": "Tesla T4",
    "tune_paddy.torch": "2.15.0",
    "tune_paddy.cuda": "13.2",
    "tune_paddy.driver": "580",
    "tune_paddy.timm": "1.0.31",
    "tune_paddy.memory_source": "process",
    "tune_paddy.notes": "batch norm sees 2 images at a time",
}
MEMBER = MemberRecord(
    number=7,
    origin="nets",
    proposal=RecordedProposal(number=7, origin="nets", config=CONFIG),
    arch="test_resnet",
    attempts=2,
    split="5p",
    folder=Path("/runs/road-1/members/0007-test_resnet-32x48"),
    gpu_share=0.125,
    device="cuda",
    gpu="Tesla T4",
    torch="2.15.0",
    cuda="13.2",
    driver="580",
    timm="1.0.31",
    memory_source="process",
    notes="batch norm sees 2 images at a time",
)

ENSEMBLE_TAGS = {"tune_paddy.selection": "9f", "tune_paddy.submission_sha256": "3c"}
SENT_TAGS = {
    "tune_paddy.kaggle.competition": "paddy-disease-classification",
    "tune_paddy.kaggle.ref": "0",
    "tune_paddy.kaggle.file_name": "submission.csv",
    "tune_paddy.kaggle.sent_at": "2026-01-02T03:04:05+00:00",
    "tune_paddy.kaggle.status": "complete",
    "tune_paddy.kaggle.public": "0.98731",
}
SENT = SubmissionRecord(
    competition="paddy-disease-classification",
    ref=0,
    file_name="submission.csv",
    sent_at="2026-01-02T03:04:05+00:00",
    status="complete",
    public="0.98731",
)

WRITTEN_BEFORE = [
    (SEARCH, SEARCH_TAGS),
    (MEMBER, MEMBER_TAGS),
    (EnsembleRecord("9f", "3c"), ENSEMBLE_TAGS),
    (SENT, SENT_TAGS),
]
RECORDS = [SearchRecord, MemberRecord, EnsembleRecord, SubmissionRecord]


@pytest.mark.parametrize(("record", "tags"), WRITTEN_BEFORE)
def test_a_record_that_was_written_before_is_read_and_written_to_the_byte(
    record: Any, tags: dict[str, str]
) -> None:
    assert type(record).from_tags(tags) == record
    assert record.to_tags() == tags


names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9 .+-]{0,20}", fullmatch=True)
paths = st.none() | st.text(min_size=1).map(Path)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=5,
)
objects = st.none() | st.dictionaries(st.text(), plain, max_size=5)
texts = st.text()
configs = st.builds(
    MemberConfig,
    arch=names,
    size=st.tuples(st.integers(32, 64), st.integers(32, 64)),
    lr=st.floats(1e-5, 0.1),
    seed=st.integers(0, 2**31 - 1),
)
searches = st.builds(
    SearchRecord,
    dataset=paths,
    dataset_path=paths,
    dataset_fingerprint=texts,
    skip_corrupt=st.booleans(),
    skip_conflicts=st.booleans(),
    competition=texts,
    split=texts,
    space=texts,
    space_fingerprint=texts,
    space_base=paths,
    stand_ins=st.booleans(),
    weights_dir=paths,
    ray_address=texts,
    id_column=texts,
    label_column=texts,
    submission_form=st.none() | objects,
    folder=paths,
    settings=objects,
    follow_up=objects,
    command=st.none() | texts,
    seconds=st.none() | st.integers(0, 10**9).map(float),
    refit_of=st.lists(names, max_size=3).map(tuple),
    refit_of_ensemble=texts,
    revision=texts,
)
members = st.builds(
    MemberRecord,
    number=st.none() | st.integers(),
    origin=texts,
    proposal=st.none() | st.builds(RecordedProposal, number=st.integers(0), origin=texts, config=configs),
    arch=texts,
    attempts=st.none() | st.integers(),
    split=texts,
    folder=paths,
    gpu_share=st.none() | st.floats(0, 16),
    device=texts,
    memory_source=texts,
    notes=texts,
)
sent = st.builds(SubmissionRecord, competition=texts, ref=st.none() | st.integers(), public=texts)


@given(searches | members | st.builds(EnsembleRecord, texts, texts) | sent)
def test_a_record_survives_a_round_trip(record: Any) -> None:
    assert type(record).from_tags(record.to_tags()) == record


@given(searches, st.integers(0, 10**9).map(float))
def test_setting_some_fields_keeps_the_others(record: SearchRecord, seconds: float) -> None:
    changed = SearchRecord.tags_of(seconds=seconds)
    assert changed == {"tune_paddy.seconds": f"{seconds:.0f}"}
    assert SearchRecord.from_tags(record.to_tags() | changed).seconds == seconds


@pytest.mark.parametrize("record", RECORDS)
def test_a_missing_tag_gives_the_default(record: Any) -> None:
    assert record.from_tags({}) == record()


@pytest.mark.parametrize(
    ("record", "name", "text"),
    [
        (SearchRecord, "settings", "{"),
        (SearchRecord, "settings", "[" * 100_000),
        (SearchRecord, "asked", '["a list"]'),
        (SearchRecord, "seconds", "nan"),
        (SearchRecord, "seconds", "soon"),
        (SearchRecord, "skip_corrupt", "maybe"),
        (MemberRecord, "trial", "first"),
        (MemberRecord, "gpu_share", "inf"),
        (MemberRecord, "attempts", ""),
        (MemberRecord, "proposal", '{"number": 1}'),
        (MemberRecord, "proposal", '{"number": 1, "origin": "o", "config": {"arch": "net", "unheard": 1}}'),
        (SubmissionRecord, "kaggle.ref", "none"),
    ],
)
def test_text_that_cannot_be_parsed_gives_the_default(record: Any, name: str, text: str) -> None:
    """A record may come from an untrusted source, and from any version."""
    assert record.from_tags({f"tune_paddy.{name}": text}) == record()


@given(st.dictionaries(st.sampled_from([*SEARCH_TAGS, *MEMBER_TAGS, *SENT_TAGS]), st.text()))
def test_no_text_raises_an_error(tags: dict[str, str]) -> None:
    for record in RECORDS:
        record.from_tags(tags)  # type: ignore[attr-defined]


def test_images_are_read_as_recorded_and_as_before_where_nothing_is_recorded() -> None:
    reading = {"labels": "folders", "pixel_range": "-1024,3071.5", "copies": "off"}
    again = SearchRecord.from_tags(SearchRecord(reading=reading).to_tags())
    skips = {"skip_corrupt": True, "skip_conflicts": True}
    assert again.read_options.given() == {"task": "classes", **reading, **skips}
    earlier = {"task": "classes", "copies": "near", "pixel_range": "each", **skips}
    assert SearchRecord.from_tags({}).read_options.given() == earlier


def test_settings_survive_a_round_trip() -> None:
    settings = SearchSettings(trials=3, gpu="auto", folds=2)
    record = SearchRecord(settings=settings.model_dump(mode="json"))
    assert SearchSettings.model_validate(SearchRecord.from_tags(record.to_tags()).settings) == settings


def test_records_are_read_from_their_runs(store: Store) -> None:
    """MLflow stores every text unchanged, including the empty text."""
    parent = start_search(store, name="road-1", tags=SEARCH.to_tags())
    start_member(
        store,
        search="road-1",
        member="0007-test_resnet-32x48",
        parent_run_id=parent,
        params=CONFIG.model_dump(mode="json"),
        tags=MEMBER.to_tags(),
    )
    assert SearchRecord.from_run(get_search(store, "road-1")) == SEARCH
    (member,) = list_members(store, "road-1")
    assert MemberRecord.from_run(member).proposal == MEMBER.proposal


def test_the_form_of_a_submission_is_recorded_and_an_older_record_has_labels() -> None:
    """A record that cannot be read as a form is one of labels, too."""
    form = SubmissionFormat("id", "label", Kind.PROBABILITIES, ("dog", "cat"), ("dog", "cat"))
    record = SearchRecord(id_column="id", submission_form=form.to_record(("cat", "dog")))
    assert SearchRecord.from_tags(record.to_tags()).submission(("cat", "dog")) == form
    for stored in (None, {}, {"kind": "cake"}):
        older = SearchRecord(id_column="id", label_column="breed", submission_form=stored)
        assert older.submission(("cat", "dog")) == SubmissionFormat("id", "breed")
