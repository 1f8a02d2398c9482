"""The Python side of the commands: what notebooks and scripts call.

Everything here is also an attribute of the package, which imports it when it is first asked for:

>>> import tune_paddy as tp
>>> tp.select.__module__
'tune_paddy.api'

`Dataset.open`, `SearchSpace.load` and `greedy_select`, which need nothing around them, stand in their own
modules and are attributes of the package, too.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from tune_paddy.core.estimate import Assessment
    from tune_paddy.core.predictions import Pool
    from tune_paddy.core.selection.result import Selection
    from tune_paddy.data.dataset import Dataset
    from tune_paddy.spaces.space import SearchSpace
    from tune_paddy.tracking.runs import RecordedRun
    from tune_paddy.tracking.store import Store
    from tune_paddy.training.forecast.planning import MemoryRow

# Of libraries to each other, and to nobody who reads a notebook: tqdm's, where there are no widgets for its
# bars, and torch's, when timm and fastai are imported.
warnings.filterwarnings("ignore", message="IProgress not found")
warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated", category=FutureWarning)

EXPLORER = "tune_paddy, from Python"
"""How a search was started, where there is no command to record."""


@dataclass(frozen=True)
class SearchResult:
    """A search that has run.

    Attributes:
        name: What `load_pool` and the commands know it by.
        members: All of them, whatever became of each.
        folder: Its files.
        tracking_uri: Absolute address of the record; may hold credentials.
    """

    name: str
    members: "tuple[RecordedRun, ...]"
    folder: Path
    tracking_uri: str


@dataclass(frozen=True, eq=False)
class Chosen:
    """An ensemble that was chosen from a pool; nothing is written or recorded.

    Attributes:
        pool: What it was chosen from.
        selection: The weights, and how they came about; its `score` flatters it.
        assessment: Its score on images that it was not selected on, beside its rivals' scores; None where
            a class has a single image to judge by.
    """

    pool: "Pool"
    selection: "Selection"
    assessment: "Assessment | None"

    def table(self) -> "pd.DataFrame":
        """One row for each view of the pool, the heaviest first: member, view, arch, weight and scores."""
        import pandas as pd

        rows = [
            {
                "member": view.member,
                "view": view.kind,
                "arch": view.arch,
                "weight": float(weight),
                "log_loss": view.info.get(f"{view.kind}/log_loss"),
                "error_rate": view.info.get(f"{view.kind}/error_rate"),
            }
            for view, weight in zip(self.pool.views, self.selection.weights, strict=True)
        ]
        return pd.DataFrame(rows).sort_values("weight", ascending=False, ignore_index=True, kind="stable")

    def predict(self) -> "pd.DataFrame":
        """Probabilities of the test images: ids as the index, classes as columns."""
        import pandas as pd

        from tune_paddy.data.submission import SubmissionFormat

        blended = self.selection.blend(self.pool.test)
        ids = pd.Index(self.pool.test_ids, name=SubmissionFormat().id_column)
        return pd.DataFrame(blended, index=ids, columns=list(self.pool.classes))


def run_search(
    data: "str | Path | Dataset",
    space: "str | Path | SearchSpace",
    *,
    name: str | None = None,
    stand_ins: bool = False,
    tracking_uri: str | None = None,
    runs: str | Path = "runs",
    weights_dir: str | Path | None = None,
    ray_address: str | None = None,
    **settings: Any,
) -> SearchResult:
    """Train the members of a search space, as `tune-paddy search` does before it selects.

    Args:
        data: An opened dataset, or what `Dataset.open` takes.
        space: A loaded search space, or what `SearchSpace.load` takes.
        name: Of the search; None: that of the space, and the next free number.
        stand_ins: Rehearse with tiny relatives of each architecture.
        tracking_uri: MLflow's; None: `mlflow.db` in the working folder.
        runs: Folder for everything that is written.
        weights_dir: Folder of `tune-paddy weights fetch`.
        ray_address: Of a cluster; None: this machine.
        **settings: Fields of `SearchSettings`, such as `trials`, `minutes` or `gpu`; they replace the
            settings of the space.

    Raises:
        InputError: Something given is wrong; the message says what.
        TunePaddyError: The record or Ray failed.
    """
    from rich.console import Console

    from tune_paddy.data.dataset import Dataset
    from tune_paddy.search.plan import SearchPlan
    from tune_paddy.search.preflight import ready_session
    from tune_paddy.search.resources import uncounted_gpus
    from tune_paddy.search.run import run_search as run
    from tune_paddy.tracking.names import free_name, require_free
    from tune_paddy.training.networks.pretrained import check_weights

    loaded = _load_space(space, stand_ins=stand_ins)
    overridden = loaded.settings.override(settings)
    if ray_address is None:
        check_weights(loaded.weights(), None if weights_dir is None else Path(weights_dir))
    dataset, store = _open(data, tracking_uri, Path(runs))
    chosen = require_free(name, Path(runs), store) if name else free_name(loaded.name, Path(runs), store)
    plan = SearchPlan(
        name=chosen,
        dataset=dataset,
        space=loaded,
        settings=overridden,
        folder=Path(runs) / chosen,
        weights_dir=None if weights_dir is None else Path(weights_dir),
        ray_address=ray_address,
        ray_gpus=uncounted_gpus(),
        command=EXPLORER,
        data=None if isinstance(data, Dataset) else Path(data),
    )
    with ready_session(plan) as ready:
        members = run(ready, store, console=Console(markup=False))
    return SearchResult(chosen, members, plan.folder, store.tracking_uri)


def load_pool(*searches: str, tracking_uri: str | None = None) -> "Pool":
    """Read the predictions of all finished members of one or several searches from the record.

    Args:
        *searches: Their names; with more than one, members are named `SEARCH:MEMBER`.
        tracking_uri: MLflow's; None: `mlflow.db` in the working folder.

    Raises:
        InputError: There is no such record or search, or no member that can be used.
    """
    from tune_paddy.core.errors import InputError
    from tune_paddy.tracking.pool import load_pool as load
    from tune_paddy.tracking.store import open_store

    store = open_store(tracking_uri, experiment=None, artifact_root=Path("runs"), create=False)
    pool = load(store, searches)
    if not pool.views:
        reasons = "; ".join(f"{refused.member}: {refused.reason}" for refused in pool.refused[:5])
        raise InputError(f"no finished member in {', '.join(searches)} {f'({reasons})' if reasons else ''}")
    return pool


def select(
    pool: "Pool",
    *,
    metric: str = "log_loss",
    method: str = "auto",
    weights: Sequence[str] = (),
    max_members: int | None = None,
    max_minutes: float | None = None,
    max_size: float | None = None,
    speed_factor: float = 1.0,
    seed: int = 0,
) -> Chosen:
    """Choose an ensemble from a pool, as `tune-paddy select` does, and judge it; nothing is written.

    Args:
        pool: From `load_pool`.
        metric: The loss to minimise, such as `log_loss` or `error_rate`.
        method: The selection method, or `auto` to compare all.
        weights: Weights by hand, as `PATTERN=WEIGHT`, such as `vit*=2`; they replace the selection.
        max_members: The most members in the ensemble, or None.
        max_minutes: The longest time to predict the test set, minutes, or None.
        max_size: The largest weights of all members, MiB, or None.
        speed_factor: How many times slower the machine that predicts is than the one that measured.
        seed: The seed of the selection methods.

    Raises:
        InputError: Options that are unknown, contradictory or cannot be met.
    """
    from threadpoolctl import threadpool_limits

    from tune_paddy.ensemble.fit import assess_fit, make_fit
    from tune_paddy.ensemble.options import SelectionOptions

    options = SelectionOptions(
        metric, method, tuple(weights), max_members, max_minutes, max_size, speed_factor, seed
    )
    fit = make_fit(pool, options)
    with threadpool_limits(1):  # as the command does: small products, whose sums are then in one order
        return Chosen(pool, fit(pool.select, pool.labels), assess_fit(pool, fit, options))


def forecast(
    space: "str | Path | SearchSpace",
    *,
    gpu: str | None = None,
    gpu_memory: float | None = None,
    share: float | str = "auto",
    n_classes: int = 10,
    max_accum: int | None = None,
    stand_ins: bool = False,
) -> "tuple[MemoryRow, ...]":
    """Forecast the GPU memory of every member of a space, as `tune-paddy memory` does; needs no GPU.

    Args:
        space: A loaded search space, or what `SearchSpace.load` takes.
        gpu: Name of the GPU, such as `Tesla P100`.
        gpu_memory: Its memory, MiB; None, without a name: the GPU at hand.
        share: Of the GPU that a trial gets, or `auto`: as little as it needs.
        n_classes: Classes to tell apart.
        max_accum: Largest accum to choose; None: one image at a time.
        stand_ins: Forecast the tiny relatives instead.

    Returns:
        A row for each member; `pandas.DataFrame(row.to_dict() for row in rows)` is a table of them.

    Raises:
        InputError: No GPU is here or named, or an architecture or size cannot be had.
    """
    from tune_paddy.training.forecast.planning import find_gpu, parse_share, plan_space

    loaded = _load_space(space, stand_ins=stand_ins)
    rows = plan_space(
        loaded, find_gpu(gpu, gpu_memory), parse_share(str(share)), n_classes=n_classes, max_accum=max_accum
    )
    return tuple(rows)


def _load_space(space: "str | Path | SearchSpace", *, stand_ins: bool) -> "SearchSpace":
    from tune_paddy.spaces.space import SearchSpace, find_space
    from tune_paddy.training.networks.architectures import stand_in
    from tune_paddy.training.networks.model import check_arch

    loaded = (
        space
        if isinstance(space, SearchSpace)
        else SearchSpace.load(find_space(space), check_arch=check_arch)
    )
    return loaded.with_stand_ins(stand_in) if stand_ins else loaded


def _open(data: "str | Path | Dataset", tracking_uri: str | None, runs: Path) -> "tuple[Dataset, Store]":
    from tune_paddy.data.dataset import Dataset
    from tune_paddy.tracking.store import open_store

    dataset = data if isinstance(data, Dataset) else Dataset.open(data)
    artifacts = runs.absolute() / "artifacts"
    return dataset, open_store(
        tracking_uri, experiment=dataset.root.name, artifact_root=artifacts, create=True
    )
