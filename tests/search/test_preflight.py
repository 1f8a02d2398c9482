"""Checks that refuse a search before Ray starts."""

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import ray
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from tests.conftest import SPACE, Finished, make_plan
from tune_paddy.core.config import SearchSettings
from tune_paddy.core.errors import InputError
from tune_paddy.core.tasks.task import Task
from tune_paddy.data.dataset import Dataset
from tune_paddy.data.split import make_select_split
from tune_paddy.data.system.cpus import usable_cpus
from tune_paddy.search.lock import search_lock
from tune_paddy.search.plan import SearchPlan, new_split
from tune_paddy.search.preflight import ReadyPlan, preflight, ready_session
from tune_paddy.search.resources import resources_here
from tune_paddy.search.resuming.plan import resumed_plan
from tune_paddy.search.run import run_search
from tune_paddy.spaces.space import SearchSpace
from tune_paddy.tracking.files import SPLIT_FILE
from tune_paddy.tracking.runs import get_search
from tune_paddy.tracking.store import Store, resolve_uri


@pytest.fixture
def again(finished: Finished) -> SearchPlan:
    return resumed_plan(get_search(finished.store, "first"), finished.store, settings={})


def checked(plan: SearchPlan, store: Store | None) -> ReadyPlan:
    with ready_session(plan, store) as ready:
        return ready


def test_another_space_is_refused(finished: Finished, again: SearchPlan) -> None:
    assert checked(again, finished.store).at_once == 1
    changed = SearchSpace.parse(SPACE.replace("size: 32", "size: 48"), name="tiny")
    with pytest.raises(InputError, match="not the one that search 'first' began with"):
        checked(replace(again, space=changed), finished.store)


def test_a_search_that_another_process_runs_is_refused(finished: Finished, again: SearchPlan) -> None:
    with search_lock(again.folder, again.name), pytest.raises(InputError, match="running in another process"):
        checked(again, finished.store)


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        ("/dev/null/shared", "cannot be written"),
        ("shared", "is no address"),
        ("s3://me:it@b/p", "credentials"),
    ],
)
def test_a_storage_that_cannot_be_used_is_refused_before_ray_starts(
    small_digits: Path, tmp_path: Path, storage: str, message: str
) -> None:
    plan = make_plan("stored", small_digits, tmp_path, SPACE)
    plan = replace(plan, settings=plan.settings.override({"storage": storage}), ray_address="127.0.0.1:1")
    with pytest.raises(InputError, match=message):
        checked(plan, None)


def test_an_address_of_a_ray_client_is_refused_when_a_search_is_planned(
    small_digits: Path, tmp_path: Path
) -> None:
    """Ray Tune would move the search into the cluster, away from its files."""
    plan = make_plan("client", small_digits, tmp_path, SPACE)
    with pytest.raises(InputError, match=r"^ray://head:10001 is the address of a Ray client, with") as error:
        replace(plan, ray_address="ray://head:10001")
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("never_started")
def test_a_cluster_that_does_not_answer_is_named_before_ray_starts(
    small_digits: Path, tmp_path: Path
) -> None:
    plan = replace(make_plan("alone", small_digits, tmp_path, SPACE), ray_address="127.0.0.1:9")
    with pytest.raises(InputError, match=r"^no Ray cluster answers at 127\.0\.0\.1:9 \(Connection refused\)"):
        checked(plan, None)


def test_a_metric_of_another_task_is_refused_before_training(small_digits: Path, tmp_path: Path) -> None:
    """The kappa of a selection needs grades; so does one that the sampler minimises."""
    plan = make_plan("greedy", small_digits, tmp_path, SPACE)
    for changes in (
        {"follow_up": {"metric": "qwk"}},
        {"settings": plan.settings.override({"objective": "qwk"})},
    ):
        with pytest.raises(InputError, match="metric qwk needs one grade an image"):
            preflight(replace(plan, **changes), {"CPU": 64.0})
    preflight(replace(plan, follow_up={"metric": "macro_f1"}), {"CPU": 64.0})


def test_a_loss_of_another_task_is_refused_before_training(small_digits: Path, tmp_path: Path) -> None:
    """In a recipe, and as one of the choices of a sub-space."""
    for text in (
        SPACE.replace("arch: test_resnet}", "arch: test_resnet, loss: cross_entropy}"),
        SPACE.replace("lr: {", "loss: [focal, cross_entropy], lr: {"),
    ):
        plan = make_plan("labels", small_digits, tmp_path, text)
        several = replace(plan, dataset=replace(plan.dataset, task=Task.of("multilabel")))
        with pytest.raises(InputError, match="loss cross_entropy does not serve any number of labels"):
            preflight(several, {"CPU": 64.0})
        preflight(plan, {"CPU": 64.0})


@pytest.fixture
def never_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that Ray is not running; starting it fails the test."""
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("Ray was started"))


@pytest.mark.usefixtures("never_started")
def test_a_trial_that_needs_more_than_this_machine_has_is_refused_before_ray_starts(
    small_digits: Path, tmp_path: Path
) -> None:
    plan = make_plan("greedy", small_digits, tmp_path, SPACE)
    plan = replace(plan, settings=plan.settings.override({"gpu": 1}), ray_gpus=0)
    with pytest.raises(InputError, match="asks for 1 GPU, of 0 in total"):
        checked(plan, None)
    assert not plan.folder.exists()


@pytest.mark.usefixtures("never_started")
def test_a_stored_split_of_other_folds_is_refused_before_ray_starts(again: SearchPlan) -> None:
    plan = replace(again, settings=again.settings.override({"folds": 3}), ray_gpus=0)
    with pytest.raises(InputError, match="has 0 folds, but `folds` is 3; start a search under a new name"):
        checked(plan, None)


def test_a_new_search_ignores_the_split_in_the_folder_of_its_provisional_name(
    finished: Finished, tmp_path: Path
) -> None:
    """Another search may take the name meanwhile; the new one is then renamed, and has a split of its own."""
    plan = make_plan("taken", finished.plan.dataset.root, tmp_path, SPACE)
    other = replace(plan, settings=plan.settings.override({"seed": 7}))
    new_split(other).save(plan.folder / SPLIT_FILE)
    assert checked(plan, None).split.fingerprint == new_split(plan).fingerprint


def test_a_resume_is_checked_again_under_the_lock(finished: Finished, again: SearchPlan) -> None:
    changed = SearchSpace.parse(SPACE.replace("size: 32", "size: 48"), name="tiny")
    ready = checked(replace(again, space=changed), None)
    with pytest.raises(InputError, match="not the one that search 'first' began with"):
        run_search(ready, finished.store, console=Console(quiet=True))


COUNT = "from tune_paddy.search.resources import resources_here; print(resources_here(None))"


def test_hidden_gpus_are_not_counted() -> None:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", COUNT], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{{'CPU': {usable_cpus()}, 'GPU': 0}}\n"
    assert resources_here(3) == {"CPU": usable_cpus(), "GPU": 3}


names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
undecodable = names.map(lambda name: f"{name}\udce9")


@settings(max_examples=20, deadline=None)
@given(root=names | undecodable, labels=st.lists(names | undecodable, min_size=2, max_size=3, unique=True))
def test_what_the_check_of_the_data_accepts_can_start_a_search(root: str, labels: list[str]) -> None:
    """Names of any characters, also of bytes that are no text."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary, "x", root)
        with suppress(OSError):  # a name that is too long in bytes, or "." and ".."
            for label in labels:
                (folder / label).mkdir(parents=True)
                for number in range(3):
                    image = np.random.default_rng([labels.index(label), number]).integers(0, 256, (8, 8, 3))
                    with (folder / label / f"{number}.png").open("wb") as file:
                        Image.fromarray(image.astype(np.uint8)).save(file, "PNG")
        try:
            dataset = Dataset.open(folder, jobs=1)
            make_select_split(dataset, share=0.3, seed=0)
        except InputError:
            return
        plan = SearchPlan(
            "x",
            dataset,
            SearchSpace.parse(SPACE, name="tiny"),
            SearchSettings(select_share=0.3),
            Path(temporary),
        )
        assert preflight(plan, {"CPU": 64.0}).at_once


def test_a_folder_whose_name_is_no_text_is_refused_before_anything_starts(
    small_digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / "caf\udce9"
    odd.mkdir()
    (odd / "digits").symlink_to(small_digits)
    shutil.copytree(small_digits, odd / "copied")
    message = r"caf\\udce9.*: its name is not UTF-8: rename it"
    with pytest.raises(InputError, match=message):
        Dataset.open(odd / "copied")
    plan = make_plan("x", odd / "digits", tmp_path / "runs", SPACE)
    with pytest.raises(InputError, match=message):
        preflight(replace(plan, folder=odd / "runs" / "x"), {"CPU": 64.0})
    monkeypatch.chdir(odd)
    with pytest.raises(InputError, match=message):
        resolve_uri(None)
