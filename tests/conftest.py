"""Fixtures for several packages: a small real dataset, and one finished search on it.

xdist's controller imports this file, too, and runs no test: slow imports are therefore in the fixtures.
"""

from __future__ import annotations

import atexit
import gc
import os
import pkgutil
import random
import re
import resource
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from tests.distribution import (  # noqa: F401 hooks
    pytest_collection_modifyitems,
    pytest_xdist_auto_num_workers,
    pytest_xdist_make_scheduler,
)
from tune_paddy.data.system.gc_policy import collect_rarely

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from tune_paddy.api import SearchResult
    from tune_paddy.ensemble.build import Ensemble
    from tune_paddy.search.plan import SearchPlan
    from tune_paddy.serving.collect import Collected
    from tune_paddy.tracking.runs import RecordedRun
    from tune_paddy.tracking.store import Store

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers exit without freeing a million objects, which takes 3 s. Registered first, this runs last.
    atexit.register(os._exit, 0)

collect_rarely()

# The user's colours and widths would change the output that tests match, and so would `uv run pytest`.
_OUTPUT = (
    "UV_RUN_RECURSION_DEPTH",
    "FORCE_COLOR",
    "PY_COLORS",
    "GITHUB_ACTIONS",
    "TTY_COMPATIBLE",
    "TERMINAL_WIDTH",
    "PYTHONWARNINGS",
    "PYTHONDEVMODE",
    "MPLBACKEND",
)
# The user's record, cluster and accounts are no business of the tests.
_SETTINGS = ("MLFLOW_", "RAY_", "TUNE_", "KAGGLE_")
_KEPT = "TUNE_PADDY_SCREENSHOTS"
for _name in list(os.environ):
    if _name in _OUTPUT or (_name.startswith(_SETTINGS) and _name != _KEPT):
        del os.environ[_name]
os.environ["TERM"] = "dumb"  # test processes inherit standard error, which may be a terminal with colours
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # results are a CPU's; "" would refuse Ray's GPU that is none
for _name in ("NO_PROXY", "no_proxy"):
    os.environ[_name] = "127.0.0.1,localhost,::1"  # a proxy of the user does not know the tests' servers

# MLflow keeps an engine for each database, and tests have hundreds; a shell may allow 256 open files.
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
_enough = 4096 if _hard == resource.RLIM_INFINITY else min(4096, _hard)
if _soft != resource.RLIM_INFINITY and _soft < _enough:
    resource.setrlimit(resource.RLIMIT_NOFILE, (_enough, _hard))

# The same examples in each run, so that a failure comes from the change under test.
settings.register_profile(
    "tests",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("tests")


def pytest_collection_finish() -> None:
    """Exclude the objects that imports created from later garbage collections."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Let the garbage collector free these objects at exit, or libraries report leaks."""
    gc.unfreeze()


PER_CLASS, TESTS = 15, 20

PLANTED = "planted-secret-7c1e"
SECRETS = (
    "AWS_SECRET_ACCESS_KEY",
    "KAGGLE_KEY",
    "KAGGLE_API_TOKEN",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
)

SPACE = """
search: {trials: 4, retries: 0, concurrency: 1}
defaults:
  {pretrained: false, schedule: one_cycle, size: 32, epochs: 2, batch_size: 16, tta: 1, flip: none, lr: 0.005}
recipes:
  - {name: resnet, arch: test_resnet}
  - {name: convnext, arch: test_convnext}
  - {name: broken, arch: test_convnext, pretrained: no-such-weights.safetensors}
spaces:
  - {name: nets, arch: [test_resnet, test_convnext], lr: {low: 0.002, high: 0.01, log: true}}
"""


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep caches, also those of Ray's workers, out of the user's folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNE_PADDY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def footprints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cache of footprints that commands share, so that a process measures each network once."""
    return tmp_path_factory.mktemp("footprints")


@pytest.fixture(scope="session")
def _schema() -> list[str]:
    """SQL of MLflow's schema, once a record was created."""
    return []


@pytest.fixture(scope="module")
def one_schema(_schema: list[str]) -> Iterator[None]:
    """Let MLflow run its 68 migrations for the first new SQLite database; the others get the same schema.

    The migrations are also read for each database that is opened, to know the newest; here once a module.
    """
    from functools import cache

    from tune_paddy.tracking.client import load_mlflow

    load_mlflow()
    from mlflow.store.db import utils
    from sqlalchemy import inspect

    migrate = utils._initialize_tables

    def initialise(engine: Any) -> None:
        if engine.dialect.name != "sqlite" or inspect(engine).get_table_names():
            migrate(engine)
            return
        if not _schema:
            migrate(engine)
        with closing(engine.raw_connection()) as connection:
            if _schema:
                connection.driver_connection.executescript("\n".join(_schema))
            else:
                _schema.extend(connection.driver_connection.iterdump())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "_initialize_tables", initialise)
        patch.setattr(utils, "_get_latest_schema_revision", cache(utils._get_latest_schema_revision))
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Limit sums to one thread: faster for small ones, and deterministic."""
    import sklearn.utils  # noqa: F401 only loaded libraries can be limited
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session", autouse=True)
def few_halves() -> Iterator[int]:
    """Compare selection methods on one pair of halves, not five: an ensemble takes a quarter of the time.

    Yields:
        The usual number of pairs, for tests that look at the comparison.
    """
    from tune_paddy.core.selection import auto

    with pytest.MonkeyPatch.context() as patch:
        usual = auto.REPEATS
        patch.setattr(auto, "REPEATS", 1)
        yield usual


FIGURES = "tune_paddy.ensemble.reports"
DRAWN = {
    f"{FIGURES}.figures": ("path", "disagreement", "confusion", "recall", "reliability", "frontier"),
    f"{FIGURES}.trial_figures": ("costs", "live", "footprint"),
    f"{FIGURES}.page.drawing": ("learning", "parameters", "gains"),
}
"""Module → kinds of figures that its functions `draw_KIND` draw."""


@pytest.fixture(scope="session", autouse=True)
def _blank_figures() -> Iterator[dict[str, Any]]:
    """Draw and write figures as blank images: drawing them takes most of a selection's time.

    Yields:
        Name of a replaced function → the function, for `draw_again`.
    """
    from matplotlib.figure import Figure
    from PIL import Image

    from tune_paddy.ensemble.reports import figures

    def blank(*_: object, **__: object) -> Figure:
        figure = Figure(figsize=(figures.WIDTH, 4))
        figure.add_subplot().set_title("blank")
        figure.suptitle("Blank")
        return figure

    def write_blank(figure: Figure, path: Path) -> None:
        width, height = (round(figures._DPI * inches) for inches in figure.get_size_inches())
        Image.new("L", (width, height), 255).save(path, compress_level=1)

    replaced: dict[str, Any] = {
        f"{module}.draw_{kind}": blank for module, kinds in DRAWN.items() for kind in kinds
    }
    replaced[f"{FIGURES}.figures._write_png"] = write_blank
    replaced[f"{FIGURES}.page.themed.svg"] = lambda _: b'<svg xmlns="http://www.w3.org/2000/svg"/>'
    with pytest.MonkeyPatch.context() as patch:
        originals = {name: pkgutil.resolve_name(":".join(name.rsplit(".", 1))) for name in replaced}
        for name, function in replaced.items():
            patch.setattr(name, function)
        yield originals


def draw_again(originals: dict[str, Any], patch: pytest.MonkeyPatch) -> None:
    """Restore the functions that `_blank_figures` replaced."""
    for name, function in originals.items():
        patch.setattr(name, function)


@pytest.fixture
def rasterised(_blank_figures: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw figures, for tests that look at them."""
    draw_again(_blank_figures, monkeypatch)


@pytest.fixture(scope="module", autouse=True)
def _memory_given_back() -> Iterator[None]:
    """Return freed memory to the system after each module, as between trials.

    The objects alive then, mostly from imports, are excluded from later garbage collections.
    """
    yield
    from tune_paddy.data.system.gc_policy import give_memory_back

    give_memory_back()
    gc.freeze()


@pytest.fixture(autouse=True)
def _same_draws() -> None:
    """Seed all random number generators in each test, so that a failure is reproducible."""
    import numpy as np
    import torch

    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 libraries use the global generator
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def small_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """150 labelled digits and 20 to predict, in Kaggle's layout."""
    return write_small_digits(tmp_path_factory.mktemp("data") / "digits")


def write_small_digits(folder: Path) -> Path:
    """Write scikit-learn's digits into a folder and remove most of them."""
    import pandas as pd

    from tune_paddy.data.samples import write_digits

    write_digits(folder)
    table = pd.read_csv(folder / "train.csv", dtype=str)
    kept = table.groupby("label").head(PER_CLASS)
    for name, label in table.drop(kept.index).itertuples(index=False):
        (folder / "train_images" / label / name).unlink()
    kept.to_csv(folder / "train.csv", index=False)
    sample = pd.read_csv(folder / "sample_submission.csv", dtype=str, keep_default_na=False)
    for name in sample["image_id"][TESTS:]:
        (folder / "test_images" / name).unlink()
    sample.head(TESTS).to_csv(folder / "sample_submission.csv", index=False)
    return folder


@dataclass(frozen=True)
class Finished:
    """A finished search: its plan, its record, its folder and its members."""

    plan: SearchPlan
    store: Store
    runs: Path
    members: tuple[RecordedRun, ...]


@pytest.fixture(scope="session")
def ray_running() -> Iterator[None]:
    """Ray on this machine for all searches of the tests, configured with a GPU that does not exist."""
    from tune_paddy.search.ray.session import ray_session

    with ExitStack() as stack:
        with planted_secrets(), pytest.MonkeyPatch.context() as patch:
            # Prestarted workers with all imports of a trial would be idle during most tests.
            patch.setenv("RAY_preload_python_modules", "tune_paddy")
            stack.enter_context(ray_session(None, num_gpus=1))
        yield


@contextmanager
def planted_secrets() -> Iterator[None]:
    """Set credentials in the environment; tests search all written files for them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in SECRETS:
            patch.setenv(name, f"{PLANTED}-{name}")
        yield


@pytest.fixture(scope="session")
def finished(
    small_digits: Path,
    tmp_path_factory: pytest.TempPathFactory,
    ray_running: None,  # noqa: ARG001 for its effect
) -> Finished:
    """Four trials with a real MLflow: three finish, one lacks its pretrained weights.

    They train in this process, as a worker of Ray would import torch for seconds; `odd` is a search on Ray.
    """
    from tests.search.here import trained_here
    from tune_paddy.tracking.store import open_store

    root = tmp_path_factory.mktemp("search")
    plan = make_plan("first", small_digits, root / "runs", SPACE)
    store = open_store(
        f"sqlite:///{root}/mlflow.db", experiment="digits", artifact_root=root / "runs/artifacts", create=True
    )
    with planted_secrets(), trained_here():
        members = searched(plan, store)
    return Finished(plan, store, root / "runs", members)


def searched(plan: SearchPlan, store: Store, **options: Any) -> tuple[RecordedRun, ...]:
    """Run a search without output."""
    from rich.console import Console

    from tune_paddy.search.preflight import ready_session
    from tune_paddy.search.run import run_search

    with ready_session(plan, store if plan.resumed else None) as ready:
        return run_search(ready, store, console=Console(quiet=True), **options)


FOLDED = """
search: {trials: 2, folds: 2, scheduler: asha, concurrency: 1}
defaults: {pretrained: false, schedule: one_cycle, size: 32, epochs: 2, batch_size: 16, tta: 1, flip: none}
recipes: [{arch: test_resnet, lr: 0.005}, {arch: test_convnext, lr: 0.005, epochs: 1}]
"""


@pytest.fixture(scope="session")
def folded(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> SearchPlan:
    """A finished search in the same record: two members of two folds each."""
    from tests.search.here import trained_here

    plan = make_plan("folded", finished.plan.dataset.root, tmp_path_factory.mktemp("folded"), FOLDED)
    with trained_here():
        searched(plan, finished.store)
    return plan


@dataclass(frozen=True)
class Retrained:
    """A search from Python with the space of a member's run.

    Attributes:
        member: Run of the member.
        folder: Working folder of the search, with the space `mine.yaml` of nine trials.
        result: Result of the search, with one trial.
    """

    member: RecordedRun
    folder: Path
    result: SearchResult


@pytest.fixture(scope="session")
def retrained(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Retrained:
    """The last finished member, retrained by the package's `run_search`."""
    import tune_paddy as tp
    from tests.search.here import trained_here
    from tune_paddy.tracking.files import read_file

    folder = tmp_path_factory.mktemp("retrained")
    member = next(m for m in reversed(finished.members) if m.outcome == "finished")
    text = read_file(finished.store, member, "member.yaml", most=1, what="a space").decode()
    (folder / "mine.yaml").write_text(text.replace("trials: 1", "trials: 9"), encoding="utf-8")
    with trained_here(), pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        uri = finished.store.tracking_uri
        result = tp.run_search(finished.plan.dataset.root, "mine.yaml", tracking_uri=uri, trials=1)
    return Retrained(member, folder, result)


@dataclass(frozen=True, eq=False)
class Exported:
    """The ensemble of the finished search, exported.

    Attributes:
        ensemble: Selected ensemble with its submission; every view has a positive weight.
        collected: Its files and metadata from the record.
        folder: Folder of the MLflow model.
        images: Paths of the test images, in the submission's order.
        expected: float64 [test images, classes], the probabilities behind the submission.
    """

    ensemble: Ensemble
    collected: Collected
    folder: Path
    images: list[str]
    expected: NDArray[np.float64]


@pytest.fixture(scope="session")
def exported(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """An ensemble of three members with ensemble weights by hand, as an MLflow model."""
    from tune_paddy.ensemble.build import build_ensemble
    from tune_paddy.ensemble.options import SelectionOptions
    from tune_paddy.serving.collect import collect
    from tune_paddy.serving.export import export

    root = tmp_path_factory.mktemp("exported")
    options = SelectionOptions(weights=("*/plain=1", "*/tta=2", "*resnet*/tta=3"))
    ensemble = build_ensemble(finished.store, ["first"], folder=root / "first", options=options)
    collected = collect(finished.store, "first", runs=finished.runs, ensemble=ensemble.run_id)
    images = [str(finished.plan.dataset.root / "test_images" / name) for name in ensemble.pool.test_ids]
    expected = ensemble.selection.blend(ensemble.pool.test)
    return Exported(ensemble, collected, export(collected, root / "model"), images, expected)


def rehearsed(space: str) -> str:
    """Shrink the space `road_to_the_top` for a test: one epoch, one augmented pass, small images."""
    sides = {"640": "64", "480": "48", "320": "64", "224": "32", "192": "32"}
    lines = []
    for line in space.replace("epochs: 12", "epochs: 1").replace("tta: 4", "tta: 1").splitlines():
        small = re.sub(r"\b(640|480|320|224|192)\b", lambda side: sides[side[0]], line)
        lines.append(small if "size:" in line else line)
    return "\n".join(lines)


def make_plan(name: str, data: Path, runs: Path, text: str) -> SearchPlan:
    """Plan a search with a space given as text."""
    from tune_paddy.data.dataset import Dataset
    from tune_paddy.search.plan import SearchPlan
    from tune_paddy.spaces.space import SearchSpace

    space = SearchSpace.parse(text, name="tiny")
    return SearchPlan(
        name=name, dataset=Dataset.open(data), space=space, settings=space.settings, folder=runs / name
    )
