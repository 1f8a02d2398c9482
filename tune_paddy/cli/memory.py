"""The memory commands: forecast whether members fit a GPU, and calibrate the forecast."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tune_paddy.cli.app import StandInsOption, UriOption, app, console, load_space, print_note, working
from tune_paddy.cli.completion import complete_space
from tune_paddy.cli.failures import as_typed
from tune_paddy.cli.help.default_command import DefaultCommandGroup
from tune_paddy.cli.settings_options import LICENCES, command_with, given
from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.core.timing.workload import IMAGES
from tune_paddy.data.system.text import counted

if TYPE_CHECKING:
    from tune_paddy.core.calibration import Calibration
    from tune_paddy.core.config import SearchSettings
    from tune_paddy.core.timing.cost import MemberTime
    from tune_paddy.search.timing.members import TimedRows
    from tune_paddy.spaces.space import SearchSpace
    from tune_paddy.training.forecast.planning import Gpu, MemoryRow


memory_app = typer.Typer(
    cls=DefaultCommandGroup,
    subcommand_metavar="SPACE | COMMAND [ARGS]...",
    help="Forecast whether members fit a GPU (`memory SPACE`), and calibrate the forecast.",
)
app.add_typer(memory_app, name="memory")


@memory_app.command("forecast", cls=command_with(LICENCES))
def memory(
    context: typer.Context,
    space: Annotated[
        str | None,
        typer.Argument(help="Search space: a file or a shipped name.", autocompletion=complete_space),
    ] = None,
    arch: Annotated[str | None, typer.Option(help="Architecture of a single member.")] = None,
    size: Annotated[str, typer.Option(help="Image size of --arch: side, or HEIGHT,WIDTH, px.")] = "224",
    batch_size: Annotated[int, typer.Option(help="Images per optimizer step.", min=1)] = 64,
    accum: Annotated[
        int | None, typer.Option(help="Micro-batches per step; default: the least that fits.", min=1)
    ] = None,
    precision: Annotated[
        Literal["auto", "fp32", "fp16", "bf16"], typer.Option(help="Precision of --arch.")
    ] = "auto",
    gpu: Annotated[
        str | None,
        typer.Option(help="Name of the GPU, such as 'Tesla P100'."),
    ] = None,
    gpu_memory: Annotated[float | None, typer.Option(help="Memory of the GPU, MiB.")] = None,
    share: Annotated[str, typer.Option(help="Share of the GPU per trial, or auto.")] = "auto",
    max_accum: Annotated[int | None, typer.Option(help="Largest accum to choose.", min=1)] = None,
    unfused: Annotated[
        bool, typer.Option("--unfused", help="Forecast attention without fused kernels.")
    ] = False,
    calibration: Annotated[str | None, typer.Option(help="Name or file of a calibration.")] = None,
    n_classes: Annotated[int, typer.Option(help="Number of classes.")] = 10,
    n_images: Annotated[
        int, typer.Option(help="Number of labelled images, for the time of an epoch.", min=2)
    ] = IMAGES,
    timing: Annotated[
        float,
        typer.Option(
            help="Seconds to spend on timing steps; 0: only the times of recorded members.",
            min=0,
            metavar="<seconds>",
        ),
    ] = 30.0,
    stand_ins: StandInsOption = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON list, one object per member.")
    ] = False,
    tracking_uri: UriOption = None,
) -> None:
    """Forecast whether members fit a GPU, with which accum, how many at once, and how long they take.

    The word `forecast` may be left out. No GPU is needed for the memory. Times are those of recorded members
    of the same kind on the same device; the steps of the others are timed on this machine. Without
    --licences, the setting of the space counts.

    Example: tune-paddy memory forecast road_to_the_top --gpu-memory 16280
    """
    from tune_paddy.core.gpus import gpu_mib, parse_share

    if (space is None) == (arch is None):
        raise InputError("name either a search space or --arch; for example: tune-paddy memory digits_demo")
    part = parse_share(share)  # refused, like an unknown GPU, before torch is imported
    if gpu is not None and gpu_memory is None:
        gpu_mib(gpu)
    if space is None:
        loaded = _member_space(size, accum, arch=arch, batch_size=batch_size, precision=precision)
    else:
        loaded = load_space(space)
    with working("importing torch and timm") as progress:
        from tune_paddy.search.licences import licence_note, with_licences
        from tune_paddy.search.timing.members import forecast_members
        from tune_paddy.training.forecast.planning import find_gpu
        from tune_paddy.training.networks.architectures import stand_in

        target = find_gpu(gpu, gpu_memory, calibration)
        allowed = with_licences(loaded, loaded.settings.override(given(context, LICENCES)).licences)
        timed = forecast_members(
            allowed.with_stand_ins(stand_in) if stand_ins else allowed,
            target,
            part,
            gpu=gpu,
            n_classes=n_classes,
            max_accum=max_accum,
            unfused=unfused or None,
            n_images=n_images,
            limit=timing,
            tracking_uri=tracking_uri,
            progress=progress,
        )
    _print_memory(timed.rows, as_json, target)
    if not as_json:
        _explain_times(timed, loaded.settings, n_images)
        print_note(licence_note(allowed))
    _require_fit(timed.rows)


def _member_space(size: str, accum: int | None, **parameters: Any) -> "SearchSpace":
    """Return a space of a single member, whose forecast is for a GPU.

    Args:
        size: Side, or HEIGHT,WIDTH, in px.
        accum: Fixed number of micro-batches per step; None: the least that fits.
        **parameters: Further parameters of the member.

    Raises:
        InputError: A value is invalid.
    """
    from tune_paddy.spaces.space import SearchSpace

    member = {**parameters, "size": _size(size)} | ({} if accum is None else {"accum": accum})
    given = {"search": {"gpu": "auto"}, "recipes": [member]}
    return SearchSpace.parse(json.dumps(given), name="--arch")


def _require_fit(rows: "Sequence[MemoryRow]") -> None:
    """Raise if a member does not fit.

    Raises:
        TunePaddyError: One or more do not; the message describes the first of them.
    """
    unfit = [row for row in rows if not row.plan.fits]
    if unfit:
        plan, config = unfit[0].plan, unfit[0].config
        height, width = config.size
        raise TunePaddyError(
            f"{plan.budget_mib:,.0f} MiB are too little for {len(unfit)} of "
            f"{counted(len(rows), 'member')}: {config.arch} at {height}x{width} px takes "
            f"{plan.forecast_mib:,.0f} MiB with accum {plan.accum}; "
            "use a smaller size or model, or a larger share or GPU"
        )


def _size(text: str) -> int | list[int]:
    try:
        sides = [int(side) for side in text.split(",")]
    except ValueError:
        raise InputError(f"--size {text!r}: give a side, as 224, or HEIGHT,WIDTH, as 320,224") from None
    return sides[0] if len(sides) == 1 else sides


@memory_app.command("calibrate")
def calibrate(
    name: Annotated[
        str | None, typer.Option(help="Name of the calibration; default: GPU and software.")
    ] = None,
    from_runs: Annotated[bool, typer.Option("--from-runs", help="Use recorded runs; needs no GPU.")] = False,
    gpu: Annotated[str | None, typer.Option(help="With --from-runs: use only runs on this GPU.")] = None,
    tracking_uri: UriOption = None,
) -> None:
    """Measure this machine's GPU, or use recorded runs, to calibrate the forecast of memory.

    Example: tune-paddy memory calibrate --from-runs
    """
    from tune_paddy.training.forecast.calibration_files import save_calibration

    if from_runs:
        made = _from_runs(name, gpu, tracking_uri)
    else:
        from tune_paddy.training.forecast.calibrate import calibrate_gpu

        made = [calibrate_gpu(name, report=console.print)]
    for calibration in made:
        path, n = save_calibration(calibration), len(calibration.points)
        console.print(
            f"{calibration.name}: {calibration.context_mib:,.0f} MiB + {calibration.slack:.3f} × the "
            f"forecast, margin {calibration.margin:.1%}, from "
            + (counted(n, "member") if from_runs else counted(n, "process", "processes"))
            + f"; written to {path}",
            soft_wrap=True,
        )


def _from_runs(name: str | None, gpu: str | None, tracking_uri: str | None) -> "list[Calibration]":
    """Calibrate each GPU and software stack of the record.

    Raises:
        InputError: A name is given for more than one calibration.
    """
    from tune_paddy.core.calibration import calibrate as fit_calibration
    from tune_paddy.core.calibration import stack_name
    from tune_paddy.tracking.memory import measured_stacks
    from tune_paddy.tracking.store import open_store

    store = open_store(tracking_uri, experiment=None, artifact_root=Path("runs"), create=False)
    measured = measured_stacks(store, gpu)
    for reason, n in measured.left_out.items():
        console.print(f"Left out: {n} {reason}")
    names = [stack_name(stack.gpu, stack.versions) for stack in measured.stacks]
    if name is not None and len(names) > 1:
        raise InputError(
            f"--name {name!r} would name {len(names)} calibrations: {'; '.join(names)}; leave it out"
        )
    return [
        fit_calibration(
            stack.points,
            name=name or own,
            gpu=stack.gpu,
            versions=stack.versions,
            source=f"{len(stack.points)} recorded members, by `tune-paddy memory calibrate --from-runs`",
        )
        for stack, own in zip(measured.stacks, names, strict=True)
    ]


def _print_memory(rows: "Sequence[MemoryRow]", as_json: bool, gpu: "Gpu") -> None:
    if as_json:
        sys.stdout.write(json.dumps([row.to_dict() for row in rows], indent=1) + "\n")
        return
    from rich import box
    from rich.table import Table

    from tune_paddy.training.forecast.planning import size_words

    title = f"A GPU of {gpu.mib:,.0f} MiB, calibration {gpu.calibration.name}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    named = any(row.origin != row.config.arch for row in rows)  # recipes and sub-spaces may have names
    if named:
        table.add_column("from", overflow="fold")
    table.add_column("member", overflow="fold")
    columns = ["px", "batch", "M par.", "accum 1", "accum", "MiB", "margin", "share", "at once"]
    has_times = any(row.time is not None for row in rows)
    for column in [*columns, *(["s/epoch", "min/member", "time"] if has_times else [])]:
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        plan = row.plan
        table.add_row(
            *([row.origin] if named else []),
            row.config.arch.partition(".")[0] + (", frozen" if row.config.frozen else ""),
            size_words(row.config.size),
            str(row.config.batch_size),
            f"{row.footprint.parameters / 1e6:.1f}",
            f"{row.at_one.forecast_mib:,.0f}",
            str(plan.accum),
            f"{plan.forecast_mib:,.0f}",
            f"{plan.margin_mib:,.0f}",
            f"{plan.fraction:g}",
            str(plan.at_once) if plan.fits else "-",
            *(_times(row.time) if has_times else []),
            style=None if plan.fits else "red",
        )
    console.print(table)
    warned = [row for row in rows if row.warning]
    if warned:
        console.print(
            f"{len(warned)} of {len(rows)}, such as {warned[0].config.arch}: {warned[0].warning}",
            style="yellow",
            soft_wrap=True,
        )


_SOURCES = {
    "record": "of earlier members of the same kind, as their searches ran",
    "timed": "from steps that were timed now, alone on the machine",
    "operations": "rough, from a timed kind and the number of operations",
}
"""Source of a time → explanation."""


def _times(time: "MemberTime | None") -> tuple[str, str, str]:
    """Format the seconds of an epoch and the minutes of a member to three digits, and their source."""
    return ("?", "?", "") if time is None else (f"{time.epoch:.3g}", f"{time.total / 60:.3g}", time.source)


def _explain_times(timed: "TimedRows", settings: "SearchSettings", n_images: int) -> None:
    """Print what the times refer to and where they come from, or why there are none."""
    rows = timed.rows
    sources = dict.fromkeys(row.time.source for row in rows if row.time is not None)
    if sources:
        share = f"{100 * settings.select_share:.3g} % of them in the select split"
        split = counted(settings.folds, "fold") if settings.folds else share
        console.print(
            f"Time on {timed.device}: {n_images:,} labelled images, {split}, the longest schedule of the "
            "space, without test images",
            soft_wrap=True,
        )
    for source in sources:
        console.print(f"  {source}: {_SOURCES[source]}", soft_wrap=True)
    if timed.reason is not None:
        missing = sum(row.time is None for row in rows)
        console.print(
            f"No time for {missing} of {counted(len(rows), 'member')}: {as_typed(timed.reason)}",
            style="yellow",
            soft_wrap=True,
        )
