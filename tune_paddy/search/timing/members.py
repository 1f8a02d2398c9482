"""Forecast how long each member of a space takes, from earlier searches or from timed steps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from tune_paddy.core.config import MemberConfig, SearchSettings
from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.core.gpus import Share, same_model
from tune_paddy.core.timing.cost import MemberTime, StepCost, Workload, epoch_seconds, member_seconds
from tune_paddy.core.timing.kinds import kind_of
from tune_paddy.core.timing.workload import IMAGES, workload
from tune_paddy.data.system.owned_folders import owned_folder
from tune_paddy.data.system.progress.stages import SILENT, Progress
from tune_paddy.data.system.text import counted
from tune_paddy.search.timing.recorded import recorded_costs
from tune_paddy.tracking.integrity import DamagedError
from tune_paddy.tracking.store import Store, open_store

if TYPE_CHECKING:
    from tune_paddy.spaces.space import SearchSpace
    from tune_paddy.training.forecast.planning import Gpu, MemoryRow  # imports torch

_PICTURES, _SIDE = 8, 256


@dataclass(frozen=True)
class TimedRows:
    """Rows of a memory plan with forecast times on one device.

    Attributes:
        rows: Rows with their times; None: no forecast is possible.
        device: Name of the device, such as `this machine's CPU, 2 threads`; empty: there is none.
        reason: Reason why a time is missing; None: none is.
    """

    rows: "tuple[MemoryRow, ...]"
    device: str
    reason: InputError | None = None


def open_earlier(tracking_uri: str | None) -> Store | None:
    """Open the record of earlier searches; None: no address is given, and there is none or no answer.

    Args:
        tracking_uri: Address of MLflow; None: that of the environment, or `mlflow.db` in the working folder.

    Raises:
        TunePaddyError: There is no record at the given address, or it cannot be read; or the one that nobody
            named is damaged.
    """
    try:
        return open_store(tracking_uri, experiment=None, artifact_root=Path(), create=False)
    except DamagedError:
        raise
    except TunePaddyError:  # a forecast of memory needs no record that nobody named
        if tracking_uri is not None:
            raise
        return None


def forecast_members(
    space: "SearchSpace",
    target: "Gpu",
    share: Share,
    *,
    gpu: str | None,
    n_classes: int,
    max_accum: int | None,
    unfused: bool | None = None,
    n_images: int,
    limit: float,
    tracking_uri: str | None,
    progress: Progress,
) -> TimedRows:
    """Forecast the memory and the time of every member of a space.

    Args:
        space: Loaded search space.
        target: GPU of the forecast of memory.
        share: Share of the GPU per trial; `auto`: the least that it needs.
        gpu: Name of the GPU, see `with_times`.
        n_classes: Number of classes.
        max_accum: Largest accum to choose; None: a micro-batch of one image.
        unfused: Whether attention lacks fused kernels; None: as the calibration says.
        n_images: Number of labelled images.
        limit: Time after which no further kind of member is timed, in s.
        tracking_uri: Address of earlier searches, see `open_earlier`.
        progress: Receiver of the stages.

    Raises:
        InputError: An architecture or size is invalid.
        TunePaddyError: As `open_earlier`.
    """
    from tune_paddy.training.forecast.planning import plan_space  # noqa: PLC0415 torch takes seconds

    progress.stage("forecasting memory")
    rows: list[MemoryRow] = []
    for row in plan_space(space, target, share, n_classes=n_classes, max_accum=max_accum, unfused=unfused):
        rows.append(row)
        progress.stage(f"forecasting memory: {counted(len(rows), 'member')} done")
    return with_times(
        rows,
        space.settings,
        open_earlier(tracking_uri),
        gpu=gpu,
        n_images=n_images,
        n_classes=n_classes,
        limit=limit,
        progress=progress,
    )


def with_times(
    rows: "Sequence[MemoryRow]",
    settings: SearchSettings,
    store: Store | None,
    *,
    gpu: str | None = None,
    n_images: int = IMAGES,
    n_classes: int = 10,
    limit: float,
    progress: Progress = SILENT,
) -> TimedRows:
    """Forecast the time of the members of a plan, without the prediction of test images.

    Kinds of members that earlier searches trained on the same device have their recorded cost, beside the
    trials that ran with them. The steps of the others are timed alone, on the GPU of this machine, or on its
    CPUs if the space uses no GPU.

    Args:
        rows: Rows of the plan.
        settings: Settings of the space: `gpu`, `cpus`, `folds` and `select_share`.
        store: The record; None: there is none.
        gpu: Name of the GPU that members are planned for; None: the one of this machine.
        n_images: Number of labelled images.
        n_classes: Number of classes.
        limit: Time after which no further kind of member is timed, in s; 0: none is.
        progress: Receiver of the stages.
    """
    from tune_paddy.training.stack import gpu_here  # noqa: PLC0415 torch takes seconds

    cpus, here, on_cpu = max(1, int(settings.cpus)), gpu_here(), settings.gpu == 0
    device = None if on_cpu else gpu or here
    known: dict[MemberConfig, StepCost] = {}
    if store is not None and (on_cpu or device is not None):
        progress.stage("reading the times of earlier members")
        known = recorded_costs(store, gpu=device, cpus=cpus)
    sources = dict.fromkeys(known, "record")
    missing = [(row.config, row.plan.accum) for row in rows if kind_of(row.config) not in known]
    if missing and limit > 0 and (on_cpu or _is_here(device, here)):
        costs, timed = _time(missing, n_classes, cpus, limit, progress, allow_gpu=not on_cpu)
        sources |= {kind: "timed" if kind in timed else "operations" for kind in costs}
        known |= costs
    load = workload(settings, n_images)
    times = [_member_time(row.config, known, sources, load) for row in rows]
    return TimedRows(
        tuple(replace(row, time=time) for row, time in zip(rows, times, strict=True)),
        _name(device, cpus, on_cpu=on_cpu),
        _reason(device, here, on_cpu=on_cpu, limit=limit) if None in times else None,
    )


def _time(
    members: Sequence[tuple[MemberConfig, int]],
    n_classes: int,
    cpus: int,
    limit: float,
    progress: Progress,
    *,
    allow_gpu: bool,
) -> tuple[dict[MemberConfig, StepCost], set[MemberConfig]]:
    """Time the steps of members on noise images; return the cost of each kind, and the timed kinds."""
    from tune_paddy.training.timing.kinds import time_kinds  # noqa: PLC0415 torch takes seconds

    accums = {kind_of(config): accum for config, accum in members}
    with owned_folder() as folder:
        found = time_kinds(
            [config for config, _ in members],
            _noise_images(folder),
            n_classes=n_classes,
            cpus=cpus,
            allow_gpu=allow_gpu,
            accum_of=lambda config: accums[kind_of(config)],
            limit=limit,
            progress=progress,
        )
    return found.costs, set(found.timed)


def _noise_images(folder: Path) -> list[str]:
    """Write images whose content does not matter: the steps read them from memory."""
    rng = np.random.default_rng(0)
    paths = [folder / f"{number}.png" for number in range(_PICTURES)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (_SIDE, _SIDE, 3), dtype=np.uint8)).save(path)
    return [str(path) for path in paths]


def _member_time(
    config: MemberConfig,
    costs: dict[MemberConfig, StepCost],
    sources: dict[MemberConfig, str],
    load: Workload,
) -> MemberTime | None:
    kind = kind_of(config)
    if kind not in costs:
        return None
    cost = costs[kind]
    return MemberTime(epoch_seconds(config, cost, load), member_seconds(config, cost, load), sources[kind])


def _is_here(device: str | None, here: str | None) -> bool:
    return device is not None and here is not None and same_model(device, here)


def _name(gpu: str | None, cpus: int, *, on_cpu: bool) -> str:
    if on_cpu:
        return f"this machine's CPU, {cpus} thread{'s' if cpus > 1 else ''}"
    return gpu or ""


def _reason(device: str | None, here: str | None, *, on_cpu: bool, limit: float) -> InputError:
    """Return why times are missing."""
    if not on_cpu and device is None:
        return InputError(
            "this machine has no GPU; name one, such as `gpu='Tesla P100'`, to see times from the record",
            options=("gpu",),
        )
    if not on_cpu and not _is_here(device, here):
        return InputError(
            f"the record has no such members on a {device}, and this machine has none to time them"
        )
    if limit == 0:
        return InputError("the record has no such members, and `timing` is 0", options=("timing",))
    return InputError("the record has no such members, and their steps cannot be timed here")
