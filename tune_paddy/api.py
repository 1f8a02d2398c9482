"""The Python API: the functions that notebooks and scripts call instead of the commands.

Every public name is also an attribute of the package, which imports it on first access:

>>> import tune_paddy as tp
>>> tp.select.__module__
'tune_paddy.api'

`Dataset`, `SearchSpace` and `greedy_select` are defined in other modules and are attributes of the package,
too.
"""

import shlex
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

# Readers of a notebook can do nothing about these: tqdm warns if widgets are missing, and torch when timm
# and fastai are imported.
warnings.filterwarnings("ignore", message="IProgress not found")
warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated", category=FutureWarning)

EXPLORER = "tune_paddy, from Python"
"""Recorded command of a search that was started from Python."""


@dataclass(frozen=True)
class SearchResult:
    """A search that has run.

    Attributes:
        name: Name for `load_pool` and the commands.
        members: Runs of all members, also of those that failed or were stopped early.
        folder: Folder of the search's files.
        tracking_uri: Absolute address of the record; may hold credentials.
    """

    name: str
    members: "tuple[RecordedRun, ...]"
    folder: Path
    tracking_uri: str


@dataclass(frozen=True, eq=False)
class Chosen:
    """An ensemble selected from a pool; neither written nor recorded.

    Attributes:
        pool: Pool that it was selected from.
        selection: Ensemble weights and the path to them; its `score` is optimistic.
        assessment: Score on images that the selection has not seen, with those of rivals; None: the
            select split has a single image.
    """

    pool: "Pool"
    selection: "Selection"
    assessment: "Assessment | None"

    def table(self) -> "pd.DataFrame":
        """Return a row per view of the pool, by descending weight: member, view, arch, weight, scores."""
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
        """Return the probabilities of the test images: ids as the index, classes as columns."""
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
    labels: str | Path | None = None,
    images: str | Path | None = None,
    id_column: str | None = None,
    label_column: str | None = None,
    copies: str | None = None,
    pixel_range: str | Sequence[float] | None = None,
    skip_corrupt: bool = False,
    skip_conflicts: bool = False,
    **settings: Any,
) -> SearchResult:
    """Train the members of a search space, as `tune-paddy search` does before it selects.

    Args:
        data: Opened dataset, or its folder or CSV.
        space: Loaded search space, its file, or the name of a shipped space.
        name: Name of the search; None: that of the space and the next free number.
        stand_ins: Whether to rehearse with a tiny relative of each architecture.
        tracking_uri: Address of MLflow; None: `mlflow.db` in the working folder.
        runs: Folder of searches and their files.
        weights_dir: Folder of pretrained weights, from `tune-paddy weights fetch`.
        ray_address: Address of a Ray cluster; None: this machine.
        labels: Table that holds the labels, or `folders`, see `Dataset.open`; None: detected.
        images: Folder of the labelled images; None: detected.
        id_column: Column of the table that names the images; None: detected.
        label_column: Column of the table that holds the labels; None: detected.
        copies: What counts as a copy: `exact`, `near` or `off`, see `Dataset.open`; None: `near`.
        pixel_range: Values that are black and white in images of more than 8 bits: (low, high), or `each`;
            None: those that the dataset uses.
        skip_corrupt: Whether to skip images that cannot be decoded.
        skip_conflicts: Whether to skip identical images with different labels.
        **settings: Fields of `SearchSettings`, such as `trials`, `minutes` or `gpu`; they override the
            settings of the space.

    Raises:
        InputError: An argument, the space or the dataset is invalid.
        TunePaddyError: The record or Ray failed.
    """
    from rich.console import Console

    from tune_paddy.core.errors import SearchInterruptedError
    from tune_paddy.data.dataset import Dataset
    from tune_paddy.search.new_search import plan_new_search
    from tune_paddy.search.preflight import ready_session
    from tune_paddy.search.run import run_search as run
    from tune_paddy.tracking.names import Naming
    from tune_paddy.training.networks.pretrained import check_weights

    reading = {
        "labels": labels,
        "images": images,
        "id_column": id_column,
        "label_column": label_column,
        "copies": copies,
        "pixel_range": pixel_range,
        "skip_corrupt": skip_corrupt or None,
        "skip_conflicts": skip_conflicts or None,
    }
    reading = {option: value for option, value in reading.items() if value is not None}
    loaded = _load_space(space, stand_ins=stand_ins)
    loaded.settings.override(settings)  # refused before the images are read
    if ray_address is None:
        check_weights(loaded.weights(), None if weights_dir is None else Path(weights_dir))
    dataset, store = _open(data, tracking_uri, Path(runs), reading)
    plan = plan_new_search(
        dataset,
        loaded,
        Naming(Path(runs), name),
        settings=settings,
        store=store,
        data=None if isinstance(data, Dataset) else Path(data),
        weights_dir=None if weights_dir is None else Path(weights_dir),
        ray_address=ray_address,
        command=EXPLORER,
    )
    try:
        with ready_session(plan) as ready:
            members = run(ready, store, console=Console(markup=False))
    except SearchInterruptedError as error:
        error.add_note(f"to resume it: tune-paddy search --resume {shlex.quote(plan.name)}")
        raise
    return SearchResult(plan.name, members, plan.folder, store.tracking_uri)


def load_pool(*searches: "str | Sequence[str]", tracking_uri: str | None = None) -> "Pool":
    """Read the predictions of all finished members of one or more searches from the record.

    Args:
        *searches: Names of the searches, or lists of them; with more than one, members are named
            `SEARCH:MEMBER`.
        tracking_uri: Address of MLflow; None: `mlflow.db` in the working folder.

    Raises:
        InputError: The record or a search does not exist, or no member can be used.
    """
    from tune_paddy.core.errors import InputError
    from tune_paddy.tracking.pool import load_pool as load
    from tune_paddy.tracking.store import open_store

    names = [name for one in searches for name in ([one] if isinstance(one, str) else one)]
    if not names or not all(isinstance(name, str) for name in names):
        raise InputError("load_pool: give the name of a search, several names, or a list of names")
    store = open_store(tracking_uri, experiment=None, artifact_root=Path("runs"), create=False)
    pool = load(store, names)
    if not pool.views:
        reasons = "; ".join(f"{refused.member}: {refused.reason}" for refused in pool.refused[:5])
        raise InputError(f"no finished member in {', '.join(names)} {f'({reasons})' if reasons else ''}")
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
    """Select an ensemble from a pool, as `tune-paddy select` does, and estimate its score; write nothing.

    Args:
        pool: Pool, from `load_pool`.
        metric: Loss to minimise, such as `log_loss` or `error_rate`.
        method: Selection method, or `auto` to compare all.
        weights: Ensemble weights by hand, as `PATTERN=WEIGHT`, such as `vit*=2`; they replace the selection.
        max_members: Largest number of members in the ensemble, or None.
        max_minutes: Longest time to predict the test set, in minutes, or None.
        max_size: Largest total size of the members' weights files, in MiB, or None.
        speed_factor: Time to predict on the target machine, relative to the machine that measured it.
        seed: Seed of the selection methods.

    Raises:
        InputError: An option is unknown, contradicts another or cannot be met.
    """
    from threadpoolctl import threadpool_limits

    from tune_paddy.ensemble.fit import assess_fit, make_fit
    from tune_paddy.ensemble.options import SelectionOptions

    options = SelectionOptions(
        metric, method, tuple(weights), max_members, max_minutes, max_size, speed_factor, seed
    )
    fit = make_fit(pool, options)
    with threadpool_limits(1):  # as the command does: faster for small products, and deterministic
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
        space: Loaded search space, its file, or the name of a shipped space.
        gpu: Name of the GPU, such as `Tesla P100`.
        gpu_memory: Memory of the GPU, in MiB; None, without a name: this machine's GPU.
        share: Share of the GPU per trial, or `auto`: the least that it needs.
        n_classes: Number of classes.
        max_accum: Largest accum to choose; None: a micro-batch of one image.
        stand_ins: Whether to forecast the tiny relatives instead.

    Returns:
        One row per member; `pandas.DataFrame(row.to_dict() for row in rows)` makes a table.

    Raises:
        InputError: No GPU is named or detected, or an architecture or size is invalid.
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

    loaded = space if isinstance(space, SearchSpace) else SearchSpace.load(find_space(space))
    loaded.check_archs(check_arch)
    return loaded.with_stand_ins(stand_in) if stand_ins else loaded


def _open(
    data: "str | Path | Dataset", tracking_uri: str | None, runs: Path, reading: dict[str, Any]
) -> "tuple[Dataset, Store]":
    from tune_paddy.core.errors import InputError
    from tune_paddy.data.dataset import Dataset
    from tune_paddy.tracking.store import open_store

    if isinstance(data, Dataset) and reading:
        given = tuple(reading)
        raise InputError(f"{given[0]}: the dataset is open already; give it to `Dataset.open`", options=given)
    dataset = data if isinstance(data, Dataset) else Dataset.open(data, **reading)
    artifacts = runs.absolute() / "artifacts"
    return dataset, open_store(
        tracking_uri, experiment=dataset.root.name, artifact_root=artifacts, create=True
    )
