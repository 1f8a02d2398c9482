"""The space of a search that was killed before it stored its files with its run."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.conftest import SPACE, make_plan
from tune_paddy.core.errors import InputError
from tune_paddy.search.plan import SearchPlan, new_split, stored_split
from tune_paddy.search.recording import recorded_search
from tune_paddy.search.resuming.compatibility import check_same
from tune_paddy.search.resuming.plan import resumed_plan
from tune_paddy.spaces.space import SearchSpace, find_space
from tune_paddy.tracking import searches
from tune_paddy.tracking.files import SPACE_FILE, SPLIT_FILE, read_text_of_search
from tune_paddy.tracking.history import read_recorded_search
from tune_paddy.tracking.names import Naming
from tune_paddy.tracking.runs import RecordedRun, get_search
from tune_paddy.tracking.schema import SearchRecord
from tune_paddy.tracking.store import Store, open_store


class KilledError(BaseException):
    """Stands for the end of the process."""


@dataclass(frozen=True)
class Cut:
    """A search whose run exists and holds no file."""

    plan: SearchPlan
    store: Store

    @property
    def run(self) -> RecordedRun:
        return get_search(self.store, "cut")


@pytest.fixture(scope="module")
def cut(small_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Cut:
    folder = tmp_path_factory.mktemp("cut")
    store = open_store(
        f"sqlite:///{folder}/mlflow.db", experiment="digits", artifact_root=folder / "artifacts", create=True
    )
    plan = make_plan("cut", small_digits, folder / "runs", SPACE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searches, "log_dataset", _killed)
        with pytest.raises(KilledError), recorded_search(plan, new_split(plan), store):
            pass
    return Cut(plan, store)


def _killed(*_: object) -> None:
    raise KilledError


def test_a_search_without_stored_files_is_resumed_by_its_name(cut: Cut) -> None:
    assert not (cut.plan.folder / SPLIT_FILE).exists()
    again = resumed_plan(cut.run, cut.store, settings={})
    assert again.space.fingerprint == cut.plan.space.fingerprint
    check_same(again, read_recorded_search(cut.store, "cut"))
    with recorded_search(again, stored_split(again), cut.store):
        pass
    assert read_text_of_search(cut.store, cut.run, SPACE_FILE) == SPACE
    assert cut.run.outcome == "finished"


def test_a_search_that_ended_before_its_run_leaves_its_name_free(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / SPACE_FILE).write_text(SPACE)
    assert Naming(tmp_path, "mine").choose("tiny") == "mine"
    (tmp_path / "mine" / SPLIT_FILE).touch()
    with pytest.raises(InputError, match="there is a search 'mine'"):
        Naming(tmp_path, "mine").choose("tiny")


def test_a_search_without_any_file_takes_the_shipped_space_of_its_fingerprint(
    cut: Cut, tmp_path: Path
) -> None:
    shipped = SearchSpace.load(find_space("digits_demo"))
    search = _elsewhere(cut, tmp_path, space=shipped.name, space_fingerprint=shipped.fingerprint)
    assert resumed_plan(search, cut.store, settings={}).space.fingerprint == shipped.fingerprint


@pytest.mark.parametrize("name", ["digits_demo", "no-such-space"])
def test_another_space_is_not_taken_for_the_lost_one(cut: Cut, tmp_path: Path, name: str) -> None:
    """Neither from the search's folder, nor a shipped one that has changed since."""
    (tmp_path / SPACE_FILE).write_text(SPACE.replace("size: 32", "size: 48"))
    search = _elsewhere(cut, tmp_path, space=name, space_fingerprint=cut.plan.space.fingerprint)
    with pytest.raises(InputError, match=r"no readable space\.yaml .*; give `space` again"):
        resumed_plan(search, cut.store, settings={})


def _elsewhere(cut: Cut, folder: Path, **facts: object) -> RecordedRun:
    """Return the run of the search as if its files were in another folder, and none were stored with it."""
    tags = {**cut.run.tags, **SearchRecord.tags_of(folder=folder, **facts)}
    return replace(cut.run, tags=tags, artifact_uri=(folder / "none").as_uri())
