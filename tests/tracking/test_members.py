import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.core.predictions import Predictions
from tune_paddy.tracking import members
from tune_paddy.tracking.context.datasets import UsedDataset, log_dataset
from tune_paddy.tracking.context.provenance import this_process
from tune_paddy.tracking.members import close_stale, fail_member, log_epoch, log_member, start_member
from tune_paddy.tracking.runs import ORPHANED, get_search, list_members, list_searches, read_curve
from tune_paddy.tracking.schema import NOTE, PROCESS
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.store import Store, open_store
from tune_paddy.tracking.writing import finish_run, set_tags

Make = Callable[..., Predictions]
NAME = "0007-convnext_tiny-224"
PARAMS = {"arch": "convnext_tiny", "size": [224, 224], "lr": 0.01, "accum": "auto"}


class KilledError(Exception):
    """Simulates the death of a process."""


def die(*_: object, **__: object) -> None:
    raise KilledError


@pytest.fixture
def parent(store: Store) -> str:
    """The run of a search named `night`."""
    return start_search(
        store, name="night", params={"trials": 20}, tags={"split": "abc"}, description="# Night"
    )


def start(store: Store, parent: str, member: str = NAME, **params: object) -> str:
    """Open the run of a member of `night`."""
    return start_member(
        store,
        search="night",
        member=member,
        parent_run_id=parent,
        params=PARAMS | params,
        tags={"split": "abc"},
    )


@contextmanager
def other_process() -> Iterator[int]:
    """A process that runs as long as the block."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        yield process.pid
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()


def test_a_resumed_search_reuses_its_run(store: Store, parent: str) -> None:
    """A resumed search has one run, its first settings and its latest tags."""
    finish_run(store, parent, "KILLED")
    again = start_search(store, name="night", params={"trials": 30, "minutes": 5}, tags={"split": "def"})
    (search,) = list_searches(store)
    assert search.run_id == again == parent
    assert (search.status, search.outcome, search.ended) == ("RUNNING", "running", None)
    assert search.params == {"trials": "20", "minutes": "5"}
    assert search.tags["tune_paddy.split"] == "def"
    assert search.tags["mlflow.note.content"] == "# Night"


def test_a_name_belongs_to_one_dataset(store: Store, parent: str, tmp_path: Path) -> None:
    """A search of another experiment cannot take the name: `select NAME` would be ambiguous."""
    assert parent
    other = open_store(store.tracking_uri, experiment="paddy", artifact_root=tmp_path, create=True)
    with pytest.raises(InputError, match="'night' belongs to another dataset"):
        start_search(other, name="night")
    assert get_search(other, "night").run_id == parent


@pytest.mark.parametrize("name", ["", "it's", "a/b", "-x", "a\nb", "x" * 201])
def test_names_that_break_queries_or_folders_are_refused(store: Store, name: str) -> None:
    """A name has no quotes, slashes, line breaks and the like."""
    with pytest.raises(InputError, match="letters, digits"):
        start_search(store, name=name)


def test_a_member_stands_under_its_search(store: Store, parent: str) -> None:
    """MLflow nests runs by a tag; search and name are tags that its page shows, others are hidden."""
    run = store.client.get_run(start(store, parent))
    assert run.info.run_name == NAME
    assert run.info.status == "RUNNING"
    assert run.data.params == {"arch": "convnext_tiny", "size": "[224, 224]", "lr": "0.01", "accum": "auto"}
    expected = {
        "mlflow.parentRunId": parent,
        "tune_paddy.kind": "member",
        "tune_paddy.search": "night",
        "tune_paddy.member": NAME,
        "mlflow.tune_paddy.arch": "convnext_tiny",
        "mlflow.tune_paddy.split": "abc",
    }
    assert expected.items() <= run.data.tags.items()


def test_a_member_has_the_commit_of_its_search(store: Store, parent: str) -> None:
    """A trial runs in a temporary folder outside the repository."""
    store.client.set_tag(parent, "mlflow.source.git.commit", "c0ffee")
    run = store.client.get_run(start(store, parent))
    assert run.data.tags["mlflow.source.git.commit"] == "c0ffee"


def test_the_command_for_a_member_skips_the_images_that_its_search_skipped(store: Store) -> None:
    tags = {"dataset_path": "/my images", "skip_corrupt": True, "skip_conflicts": False}
    parent = start_search(store, name="night", tags=tags)
    start(store, parent)
    (member,) = list_members(store, "night")
    command = "tune-paddy search '/my images' --space member.yaml --skip-corrupt\n"
    assert command in member.tags[NOTE]


def test_the_page_of_a_member_begins_with_its_result(
    store: Store, parent: str, make_predictions: Callable[..., Predictions]
) -> None:
    """A retry replaces the failure; the rest of the page stays."""
    run_id = start(store, parent)
    plain = store.client.get_run(run_id).data.tags[NOTE]
    fail_member(store, run_id, "out\nof memory", "failed")
    assert store.client.get_run(run_id).data.tags[NOTE] == f"**Result:** failed: out of memory\n\n{plain}"
    start(store, parent)
    assert store.client.get_run(run_id).data.tags[NOTE] == plain
    scores = {"plain/log_loss": 0.12344, "plain/error_rate": 0.05, "train_seconds_total": 1234.5}
    log_member(store, run_id, make_predictions(), scores)
    result = "**Result:** log loss 0.1234, error 5.0 %, 1,234 s of training."
    assert store.client.get_run(run_id).data.tags[NOTE] == f"{result}\n\n{plain}"


def test_metrics_have_six_digits_except_those_that_are_read_back(store: Store, parent: str) -> None:
    """Large counts and integers stay as they are."""
    given = {
        "log_loss": 0.123456789,
        "train_images": 10407123.0,
        "objective": 0.123456789,
        "lr": 1.23456789e-7,
    }
    log_epoch(store, start(store, parent), given, 1)
    (member,) = list_members(store, "night")
    stored = {"log_loss": 0.123457, "lr": 1.23457e-7}
    assert member.metrics == given | stored


def test_the_command_for_a_member_reads_the_images_as_its_search_did(store: Store) -> None:
    reading = '{"label_column": "kind of leaf", "copies": "off", "pixel_range": "-1024,3071.5"}'
    tags = {"dataset_path": "/x", "reading": reading}
    parent = start_search(store, name="deep", tags=tags)
    start(store, parent)
    (member,) = list_members(store, "deep")
    options = "'--label-column=kind of leaf' --copies=off --pixel-range=-1024,3071.5"
    command = f"tune-paddy search /x --space member.yaml {options}\n"
    assert command in member.tags[NOTE]


def test_a_retried_member_reuses_its_run(store: Store, parent: str) -> None:
    """The run is RUNNING again, without its failure, with one more attempt and its first parameters."""
    first = start(store, parent)
    log_epoch(store, first, {"loss": 1.0}, 0)
    fail_member(store, first, "out\nof memory", "failed")
    assert start(store, parent, accum="4") == first
    log_epoch(store, first, {"loss": 0.5}, 1)
    (member,) = list_members(store, "night")
    assert (member.status, member.outcome, member.failure) == ("RUNNING", "running", "")
    assert member.tags["tune_paddy.attempts"] == "2"
    assert member.params["accum"] == "auto"
    history = store.client.get_metric_history(first, "loss")
    assert [(point.step, point.value) for point in history] == [(0, 1.0), (1, 0.5)]


@pytest.mark.parametrize("write", ["log_params", "pass_on_dataset"])
def test_a_member_whose_process_died_while_its_run_began_is_complete_after_a_retry(
    store: Store, parent: str, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    """It has its parameters, its dataset, and the space that trains it again."""
    log_dataset(store, parent, UsedDataset("leaves", "f00d", "/leaves", {"labelled": 7}))
    with monkeypatch.context() as patch:
        patch.setattr(members, write, die)
        with pytest.raises(KilledError):
            start(store, parent)
    for _ in range(2):
        run = store.client.get_run(start(store, parent))
        assert run.data.params["arch"] == "convnext_tiny"
        assert [used.dataset.name for used in run.inputs.dataset_inputs] == ["leaves"]
        assert "member.yaml" in [file.path for file in store.client.list_artifacts(run.info.run_id)]


@pytest.mark.parametrize("write", ["set_tags", "log_params"])
def test_a_member_whose_process_died_while_it_was_retried_is_closed(
    store: Store, parent: str, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    fail_member(store, start(store, parent), "interrupted", "interrupted")
    with monkeypatch.context() as patch:
        patch.setattr(members, write, die)
        with pytest.raises(KilledError):
            start(store, parent)
    assert close_stale(store, "night", all_ended=True) == (NAME,)
    (member,) = list_members(store, "night")
    assert (member.status, member.outcome, member.failure) == ("KILLED", "interrupted", ORPHANED)


def test_a_member_whose_process_died_before_its_run_ended_is_not_finished(
    store: Store, parent: str, make_predictions: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process may have been one of another machine, of which nothing is known."""
    run = start(store, parent)
    set_tags(store.client, run, {PROCESS: "another-host:1:1.00"})
    monkeypatch.setattr(type(store.client), "set_terminated", die)
    with pytest.raises(KilledError):
        log_member(store, run, make_predictions(0), {"log_loss": 0.5})
    (member,) = list_members(store, "night")
    assert (member.status, member.outcome) == ("RUNNING", "running")


def test_the_same_member_of_another_search_is_another_run(store: Store, parent: str) -> None:
    """Names of members are unique only within a search."""
    other = start_search(store, name="day")
    run = start_member(store, search="day", member=NAME, parent_run_id=other, params=PARAMS)
    assert run != start(store, parent)


def test_an_epoch_repeated_with_equal_values_adds_nothing(store: Store, parent: str) -> None:
    """After a crash the epoch is trained again; on a CPU it gives the same values, NaN included."""
    run = start(store, parent)
    for time in (1000, 2000):
        log_epoch(store, run, {"loss": 0.25, "grad": math.nan}, 3, time)
    for name in ("loss", "grad"):
        assert [point.timestamp for point in store.client.get_metric_history(run, name)] == [1000]


@pytest.mark.parametrize("again", [2000, 1000, 1], ids=["later", "at once", "the clock was set back"])
def test_an_epoch_repeated_with_other_values_is_current(store: Store, parent: str, again: int) -> None:
    """On a GPU the repetition may differ; the member's final parameters come from it."""
    run = start(store, parent)
    log_epoch(store, run, {"loss": 0.25, "error": 0.5}, 3, 1000)
    log_epoch(store, run, {"loss": 0.125, "error": 0.5}, 3, again)
    assert read_curve(store, run, "loss") == {3: 0.125}
    assert store.client.get_run(run).data.metrics == {"loss": 0.125, "error": 0.5}
    assert len(store.client.get_metric_history(run, "error")) == 1


def test_infinite_values_do_not_ruin_charts(store: Store, parent: str) -> None:
    """MLflow would store the largest double instead."""
    run = start(store, parent)
    log_epoch(store, run, {"loss": math.inf}, 0)
    assert math.isnan(store.client.get_run(run).data.metrics["loss"])


def test_a_summary_is_current_over_epochs(store: Store, parent: str, make_predictions: Make) -> None:
    """Even if an epoch logged the metric at a later step, and the clock was set back since."""
    run = start(store, parent)
    log_epoch(store, run, {"log_loss": 0.9}, 12, milliseconds=2**42)
    log_member(store, run, make_predictions(), {"log_loss": 0.8, "seconds": 60}, tags={"accum": 4})
    (member,) = list_members(store, "night")
    assert member.metrics == {"log_loss": 0.8, "seconds": 60.0}
    assert member.tags["tune_paddy.accum"] == "4"
    assert (member.status, member.outcome) == ("FINISHED", "finished")
    assert member.ended is not None
    assert member.ended >= member.started


def test_no_member_is_finished_without_predictions(
    store: Store, parent: str, make_predictions: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the file cannot be stored, the run is not FINISHED."""
    run = start(store, parent)

    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(
        "mlflow.store.artifact.local_artifact_repo.LocalArtifactRepository.log_artifact", no_space
    )
    with pytest.raises(TunePaddyError, match="No space left"):
        log_member(store, run, make_predictions(), {"log_loss": 0.8})
    assert list_members(store, "night")[0].status == "RUNNING"


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("failed", "FAILED"),
        ("infeasible", "FAILED"),
        ("diverged", "FAILED"),
        ("stopped", "KILLED"),
        ("interrupted", "KILLED"),
    ],
)
def test_a_failure_has_a_kind_and_a_reason(store: Store, parent: str, kind: str, status: str) -> None:
    """The reason is one line without credentials."""
    fail_member(store, start(store, parent), "CUDA out of\n memory at http://me:pw@host", kind)
    (member,) = list_members(store, "night")
    assert (member.status, member.outcome) == (status, kind)
    assert member.failure == "CUDA out of memory at http://***@host"


def test_members_whose_process_died_are_closed(store: Store, parent: str) -> None:
    """Members of running processes, of other machines, and ended members do not change."""
    with other_process() as pid:
        host, _, start_of_other = named(pid)
        processes = {
            "alive": f"{host}:{pid}:{start_of_other}",
            "dead": f"{host}:{2**22 + 1}:1.00",
            "elsewhere": "another-host:1:1.00",
            "recycled": f"{host}:{pid}:1.00",
            "unknown": "",
        }
        for member, process in processes.items():
            set_tags(store.client, start(store, parent, member), {PROCESS: process})
        finish_run(store, start(store, parent, "done"), "FINISHED")
        assert start(store, parent, "mine")
        assert close_stale(store, "night") == ("dead", "recycled", "unknown")
    outcomes = {member.name: member.status for member in list_members(store, "night")}
    assert outcomes["alive"] == outcomes["elsewhere"] == outcomes["mine"] == "RUNNING"
    assert outcomes["dead"] == outcomes["recycled"] == "KILLED"
    assert close_stale(store, "night", all_ended=True) == ("alive", "elsewhere", "mine")


def named(pid: int) -> tuple[str, str, str]:
    """Host, process id and start of a process, as `this_process` writes them."""
    host = this_process().split(":")[0]
    boot = psutil.boot_time()
    return host, str(pid), f"{psutil.Process(pid).create_time() - boot:.2f}"


def test_a_search_with_many_settings_is_recorded_completely(store: Store) -> None:
    """MLflow accepts at most 100 parameters per request."""
    start_search(store, name="wide", params={f"p{i}": i for i in range(250)})
    assert len(get_search(store, "wide").params) == 250
