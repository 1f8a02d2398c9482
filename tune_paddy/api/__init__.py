"""The Python API: the functions that notebooks and scripts call instead of the commands.

Every public name is also an attribute of the package, which imports it on first access:

>>> import tune_paddy as tp
>>> tp.select.__module__
'tune_paddy.api'

`Dataset`, `SearchSpace` and `greedy_select` are defined in other modules and are attributes of the package,
too.
"""

import inspect
import logging
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tune_paddy.api.record import existing_record
from tune_paddy.api.recorded import list_ensembles, load_ensemble, load_pool, use_ensemble
from tune_paddy.api.results import Chosen, Forecast, Pool, SearchResult
from tune_paddy.api.searching import (
    build,
    check_space,
    import_frameworks,
    make_record,
    open_dataset,
    parse_space,
    require_weights,
    settle,
    train,
)
from tune_paddy.core.arguments.checked import checked
from tune_paddy.core.arguments.suggestions import did_you_mean
from tune_paddy.core.errors import InputError
from tune_paddy.core.timing.workload import IMAGES
from tune_paddy.data.options import options_among

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tune_paddy.core import predictions
    from tune_paddy.core.timing.speed import TimedNetwork
    from tune_paddy.data.dataset import Dataset
    from tune_paddy.ensemble.doctor.examine import Examination
    from tune_paddy.spaces.space import SearchSpace

__all__ = [
    "Chosen",
    "Forecast",
    "Pool",
    "SearchResult",
    "find_label_errors",
    "forecast",
    "list_ensembles",
    "load_ensemble",
    "load_pool",
    "plot_images",
    "run_search",
    "select",
    "use_ensemble",
]

# Readers of a notebook can do nothing about these: tqdm warns if widgets are missing, and torch when timm
# and fastai are imported.
warnings.filterwarnings("ignore", message="IProgress not found")
logging.getLogger("ray.widgets.util").setLevel(logging.WARNING)  # it asks for ipywidgets
warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated", category=FutureWarning)

EXPLORER = "tune_paddy, from Python"
"""Recorded command of a search that was started from Python."""


@checked
def run_search(
    data: "str | Path | Dataset",
    space: "str | Path | SearchSpace | None" = None,
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
    task: str | None = None,
    ordinal: bool = False,
    submission_form: str | None = None,
    positive: str | None = None,
    group: str | None = None,
    split_column: str | None = None,
    relabel: str | Path | None = None,
    copies: str | None = None,
    pixel_range: str | Sequence[float] | None = None,
    skip_corrupt: bool = False,
    skip_conflicts: bool = False,
    quiet: bool = False,
    **settings: Any,
) -> SearchResult:
    """Train the members of a search space, as `tune-paddy search` does before it selects.

    The progress is shown as the command does: a table that updates itself in a notebook or on a terminal,
    and a line for each finished member or epoch elsewhere, such as in the log of a script.

    Args:
        data: Opened dataset, or its folder or table.
        space: Loaded search space, its file, or the name of a shipped space; None: one is built from the
            images, this machine and `minutes`.
        name: Name of the search; None: that of the space and the next free number.
        stand_ins: Whether to rehearse with a tiny relative of each architecture.
        tracking_uri: Address of MLflow; None: `mlflow.db` in the working folder.
        runs: Folder of searches and their files.
        weights_dir: Folder of pretrained weights, from `tune-paddy weights fetch`.
        ray_address: Address of a Ray cluster; None: this machine.
        labels: Table that holds the labels, or `folders`, see `Dataset.open`; None: detected.
        images: Folder of the labelled images; None: detected.
        id_column: Column of the table that names the images; None: detected.
        label_column: Column of the table that holds the labels, or columns of 0 and 1, separated by commas;
            None: detected.
        task: What the labels are: `classes`, `ordered` or `multilabel`, see `Dataset.open`; None: detected.
        ordinal: Whether the task is `ordered`.
        submission_form: Content of the submission, `labels` or `probabilities`; None: as in the sample.
        positive: Class whose probability a submission with a single column of probabilities holds; None:
            the last of the two classes.
        group: Column of the table whose equal values, such as a patient, keep images on one side of the
            split.
        split_column: Column of the table that defines the split: parts, 0 and 1, or folds.
        relabel: Table of corrected labels, see `Dataset.open`.
        copies: What counts as a copy: `exact`, `near` or `off`, see `Dataset.open`; None: `near`.
        pixel_range: Values that are black and white in images of more than 8 bits: (low, high), or `each`;
            None: those that the dataset uses.
        skip_corrupt: Whether to skip images that cannot be decoded.
        skip_conflicts: Whether to skip identical images with different labels.
        quiet: Whether to show neither progress nor notes.
        **settings: Fields of `SearchSettings`, such as `trials`, `minutes` or `gpu`; they override the
            settings of the space. `minutes` count from this call, and leave time for the selection.

    Raises:
        InputError: An argument, the space or the dataset is invalid.
        TunePaddyError: The record or Ray failed.
    """
    from rich.console import Console

    started = time.monotonic()
    reading, weights = options_among(locals()), None if weights_dir is None else Path(weights_dir)
    _check_settings(settings)
    parsed = None if space is None else parse_space(space)
    licences = settle(parsed, data, settings, ray_address).licences
    console = Console(markup=False, highlight=False, quiet=quiet)
    imports = import_frameworks(console)
    from tune_paddy.search.new_search import plan_new_search
    from tune_paddy.search.teaching.teacher import with_teachers
    from tune_paddy.tracking.names import Naming

    dataset: Dataset | None = None
    timed: tuple[TimedNetwork, ...] = ()
    decode = 0.0
    if parsed is None:
        dataset = open_dataset(data, reading)
        built = build(dataset, settings, weights, console, started=started, imports=imports)
        parsed, timed, decode = built.space, built.timed, built.decode
    loaded = check_space(parsed, stand_ins=stand_ins, licences=licences)
    if ray_address is None:
        require_weights(loaded, weights)
    dataset = dataset or open_dataset(data, reading)
    store = make_record(dataset, tracking_uri, Path(runs))
    plan = plan_new_search(
        dataset,
        loaded,
        Naming(Path(runs), name),
        settings=settings,
        store=store,
        data=Path(data) if isinstance(data, str | Path) else None,
        weights_dir=weights,
        ray_address=ray_address,
        command=EXPLORER,
        started=started,
        timed=timed,
        decode=decode,
    )
    plan = with_teachers(plan, store)
    return SearchResult(plan.name, train(plan, store, console), plan.folder, store.tracking_uri)


@checked
def select(
    pool: "predictions.Pool",
    *,
    metric: str = "log_loss",
    method: str = "auto",
    weights: Sequence[str] | Mapping[str, float] = (),
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
        weights: Ensemble weights by hand, which replace the selection: pattern of names or architectures →
            weight, such as `{"*vit*": 2}`, or texts `PATTERN=WEIGHT`.
        max_members: Largest number of members in the ensemble, or None.
        max_minutes: Longest time to predict the test set, in minutes, or None.
        max_size: Largest total size of the members' weights files, in MiB, or None.
        speed_factor: Time to predict on the target machine, relative to the machine that measured it.
        seed: Seed of the selection methods.

    Raises:
        InputError: An option is unknown, contradicts another or cannot be met.
    """
    from rich.console import Console
    from threadpoolctl import threadpool_limits

    from tune_paddy.data.system.progress.shown import shown_progress
    from tune_paddy.ensemble.fit import assess_fit, fit_pool, make_fit
    from tune_paddy.ensemble.options import SelectionOptions

    options = SelectionOptions(
        metric, method, _as_texts(weights), max_members, max_minutes, max_size, speed_factor, seed
    )
    fit = make_fit(pool, options)
    # One thread, as for the command: faster for small products, and deterministic.
    with threadpool_limits(1), shown_progress(Console()) as progress:
        progress.stage(f"selecting from {len(pool.views)} views")
        selection = fit_pool(pool, fit)
        progress.stage("estimating the score on new images")
        return Chosen(pool, selection, assess_fit(pool, fit, options), options)


@checked
def find_label_errors(
    search: str, *, most: int | None = None, seed: int = 0, tracking_uri: str | None = None
) -> "Examination":
    """Judge the labels of a search by its members' predictions, as `tune-paddy data doctor` does.

    All labelled images are judged if the search has folds, otherwise the select split. Nothing is written.

    Args:
        search: Name of the search.
        most: Number of images to list; None: twice the estimated number of wrong labels, at least 20.
        seed: Seed of the folds in which the views are weighted.
        tracking_uri: Address of MLflow; None: `mlflow.db` in the working folder.

    Returns:
        The finding, the estimated share of wrong labels, and the suspects; its `table()` is a DataFrame.

    Raises:
        InputError: The record or the search does not exist, or too few images were judged.
    """
    from tune_paddy.ensemble.doctor.examine import examine

    if most is not None and most < 1:
        raise InputError(f"most {most}: give a whole number of at least 1", options=("most",))
    return examine(existing_record(tracking_uri), search, most=most, seed=seed)


@checked
def forecast(
    space: "str | Path | SearchSpace",
    *,
    gpu: str | None = None,
    gpu_memory: float | None = None,
    share: float | str = "auto",
    n_classes: int = 10,
    max_accum: int | None = None,
    stand_ins: bool = False,
    n_images: int = IMAGES,
    timing: float = 30.0,
    licences: str | None = None,
    tracking_uri: str | None = None,
) -> Forecast:
    """Forecast the GPU memory and the time of every member of a space, as `tune-paddy memory` does.

    The memory needs no GPU. Times are those of recorded members of the same kind on the same device; the
    steps of the others are timed on this machine, if it has the GPU or the space uses none. A line is printed
    if `licences` leaves out architectures.

    Args:
        space: Loaded search space, its file, or the name of a shipped space.
        gpu: Name of the GPU, such as `Tesla P100`.
        gpu_memory: Memory of the GPU, in MiB; None, without a name: this machine's GPU.
        share: Share of the GPU per trial, or `auto`: the least that it needs.
        n_classes: Number of classes.
        max_accum: Largest accum to choose; None: a micro-batch of one image.
        stand_ins: Whether to forecast the tiny relatives instead.
        n_images: Number of labelled images, for the time of an epoch.
        timing: Time to spend on timing steps, in seconds; 0: only the times of recorded members.
        licences: Pretrained weights to use, `any` or `commercial`; None: as the space says.
        tracking_uri: Address of MLflow; None: `mlflow.db` in the working folder, if there is one.

    Returns:
        One row per member; its `table()` is a DataFrame.

    Raises:
        InputError: No GPU is named or detected, or an architecture or size is invalid.
    """
    from rich.console import Console

    from tune_paddy.core.gpus import gpu_mib, parse_share
    from tune_paddy.data.system.progress.shown import shown_progress

    part = parse_share(str(share))  # refused, like an unknown GPU, before torch, which takes seconds
    if gpu is not None and gpu_memory is None:
        gpu_mib(gpu)
    parsed, console = parse_space(space), Console(markup=False, highlight=False)
    chosen = parsed.settings.override({} if licences is None else {"licences": licences})
    with shown_progress(console) as progress:
        progress.stage("importing torch and timm")
        loaded = check_space(parsed, stand_ins=stand_ins, licences=chosen.licences)
        from tune_paddy.search.licences import licence_note
        from tune_paddy.search.timing.members import forecast_members
        from tune_paddy.training.forecast.planning import find_gpu

        timed = forecast_members(
            loaded,
            find_gpu(gpu, gpu_memory),
            part,
            gpu=gpu,
            n_classes=n_classes,
            max_accum=max_accum,
            n_images=n_images,
            limit=timing,
            tracking_uri=tracking_uri,
            progress=progress,
        )
    note = licence_note(loaded)
    if note is not None:
        console.print(note, soft_wrap=True)
    return Forecast(timed.rows)


@checked
def plot_images(data: "str | Path | Dataset", *, per_class: int = 2, classes: int = 10) -> "Figure":
    """Draw photographs of a dataset: a column per class, the first images of each.

    Args:
        data: Opened dataset, or its folder or table.
        per_class: Number of images of each class.
        classes: Maximum number of classes; the first ones in alphabetical order.

    Raises:
        InputError: The dataset is invalid, or a number is below 1.
    """
    from tune_paddy.api.figures import draw_images
    from tune_paddy.data.dataset import Dataset

    for name, value in (("per_class", per_class), ("classes", classes)):
        if value < 1:
            raise InputError(f"{name} {value}: give a whole number of at least 1", options=(name,))
    dataset = data if isinstance(data, Dataset) else Dataset.open(data)
    return draw_images(dataset, per_class=per_class, classes=classes)


def _check_settings(settings: Mapping[str, Any]) -> None:
    """Raise if a keyword argument of `run_search` is neither a parameter nor a setting."""
    from tune_paddy.core.config import SearchSettings

    known = [*inspect.signature(run_search).parameters, *SearchSettings.model_fields]
    for name in settings:
        if name not in SearchSettings.model_fields:
            raise InputError(f"{name}: unknown setting{did_you_mean(name, known)}", options=(name,))


def _as_texts(weights: Sequence[str] | Mapping[str, float]) -> tuple[str, ...]:
    """Return ensemble weights by hand as `PATTERN=WEIGHT` texts."""
    if isinstance(weights, Mapping):
        return tuple(f"{pattern}={weight!r}" for pattern, weight in weights.items())
    return (weights,) if isinstance(weights, str) else tuple(weights)
