from pathlib import Path

import pytest

from tests.conftest import SPACE, Finished
from tune_paddy.core.errors import InputError
from tune_paddy.search.new_search import plan_new_search, with_free_name
from tune_paddy.search.plan import SearchPlan
from tune_paddy.spaces.space import SearchSpace
from tune_paddy.tracking.names import Naming
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.store import open_store


def planned(finished: Finished, naming: Naming, **settings: object) -> SearchPlan:
    space = SearchSpace.parse(SPACE, name="tiny")
    return plan_new_search(finished.plan.dataset, space, naming, settings=settings)


def test_a_name_of_its_own(finished: Finished, tmp_path: Path) -> None:
    """Without a name, a search is called after its space, or the prefix, and the first free number."""
    (tmp_path / "tiny-1").mkdir()
    assert planned(finished, Naming(tmp_path)).name == "tiny-2"
    assert planned(finished, Naming(tmp_path, prefix="demo")).name == "demo-1"


def test_the_folder_is_called_like_the_search(finished: Finished, tmp_path: Path) -> None:
    plan = planned(finished, Naming(tmp_path, "mine"))
    assert (plan.name, plan.folder) == ("mine", tmp_path / "mine")


def test_settings_override_those_of_the_space(finished: Finished, tmp_path: Path) -> None:
    assert planned(finished, Naming(tmp_path), seed=7).settings.seed == 7


def test_a_given_name_that_the_record_has_is_refused(finished: Finished, tmp_path: Path) -> None:
    """The folder may be new: the record of the other search decides."""
    naming = Naming(tmp_path, finished.plan.name)
    plan = planned(finished, naming)
    with pytest.raises(InputError, match=r"has a search 'first'"):
        with_free_name(plan, naming, finished.store)


def test_a_number_that_the_record_has_is_passed_over(finished: Finished, tmp_path: Path) -> None:
    """The files of a recorded search may lie elsewhere."""
    uri = f"sqlite:///{tmp_path}/record.db"
    store = open_store(uri, experiment="digits", artifact_root=tmp_path, create=True)
    start_search(store, name="demo-1")
    naming = Naming(tmp_path / "runs", prefix="demo")
    plan = planned(finished, naming)
    assert (plan.name, with_free_name(plan, naming, store).name) == ("demo-1", "demo-2")
