"""The command line: one function per command, which parses, calls and prints.

Heavy imports stand inside the commands: `--help` and `select` start without Ray, torch and fastai.
"""

import json
import os
import platform
import shlex
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from tune_paddy import __version__
from tune_paddy.core.errors import InputError, TunePaddyError

if TYPE_CHECKING:
    from tune_paddy.core.config import SearchSettings
    from tune_paddy.data.dataset import Dataset
    from tune_paddy.data.space import SearchSpace
    from tune_paddy.ensemble.build import Ensemble
    from tune_paddy.ensemble.choose import Wishes
    from tune_paddy.search.run import SearchPlan
    from tune_paddy.tracking.store import Store
    from tune_paddy.training.planning import Gpu, MemoryRow

app = typer.Typer(
    name="tune-paddy",
    help="Search for the best averaged ensemble of image classifiers that your GPUs and hours can buy.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
weights_app = typer.Typer(help="Pretrained weights for machines without a network.", no_args_is_help=True)
app.add_typer(weights_app, name="weights")
data_app = typer.Typer(help="Look at data before training on it.", no_args_is_help=True)
app.add_typer(data_app, name="data")

PIPED_WIDTH = 160  # columns of what goes into a file or another program
console = Console(highlight=False)
if not console.is_terminal:
    console = Console(highlight=False, width=PIPED_WIDTH)
errors = Console(stderr=True, highlight=False)

DataArgument = Annotated[Path, typer.Argument(help="Folder or CSV of labelled images.")]
SpaceOption = Annotated[str, typer.Option("--space", "-s", help="Search space: a file or a shipped name.")]
UriOption = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri", envvar="MLFLOW_TRACKING_URI", help="MLflow; default sqlite:///mlflow.db here."
    ),
]
RunsOption = Annotated[Path, typer.Option("--runs", help="Folder for everything that is written.")]
WeightsDirOption = Annotated[
    Path | None, typer.Option("--weights-dir", help="Folder of `weights fetch`, for pretrained weights.")
]
SkipCorruptOption = Annotated[bool, typer.Option("--skip-corrupt", help="Leave out unreadable images.")]
SkipConflictsOption = Annotated[
    bool, typer.Option("--skip-conflicts", help="Leave out equal images under two labels.")
]
StandInsOption = Annotated[
    bool, typer.Option("--stand-ins", help="Rehearse with tiny relatives of each architecture.")
]
MetricOption = Annotated[str, typer.Option("--metric", help="Loss that selection minimises.")]
MethodOption = Annotated[str, typer.Option("--method", help="Selection method, or auto to compare all.")]
HandWeightsOption = Annotated[
    list[str] | None,
    typer.Option("--weights", "-w", help="Weights by hand, PATTERN=WEIGHT, such as 'vit*=2'; repeatable."),
]


def main() -> None:
    """Run the command line: an error is one line, exit status 2 for bad input and 1 for failure."""
    debug = "--debug" in sys.argv
    if not debug:
        # Of the libraries to each other: a person can do nothing about them. Child processes inherit it.
        warnings.simplefilter("ignore")
        os.environ.setdefault("PYTHONWARNINGS", "ignore")
    try:
        app([argument for argument in sys.argv[1:] if argument != "--debug"])
    except TunePaddyError as error:
        if debug:
            traceback.print_exc()
        errors.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(error.exit_status)


def _show_version(wanted: bool) -> None:
    if wanted:
        console.print(f"tune-paddy {__version__}")
        raise typer.Exit


@app.callback()
def common(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    _debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options of every command."""


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--data", help="Where the images go.")] = Path("data/digits"),
    tracking_uri: UriOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Do the main job on 1,797 real images of digits, in minutes, without a GPU.

    Example: tune-paddy demo
    """
    from tune_paddy.data.samples import TEST_LABELS, score_submission, write_digits

    started = time.monotonic()
    console.print(f"Writing scikit-learn's handwritten digits to {folder} in Kaggle's layout")
    write_digits(folder)
    plan = _plan(folder, "digits_demo", runs, name=None, overrides={}, prefix="demo")
    store = _store(tracking_uri, plan.dataset, runs)
    _search(plan, store)
    ensemble = _select(store, [plan.name], runs)
    if ensemble.submission is not None:
        accuracy = score_submission(ensemble.submission, folder / TEST_LABELS)
        console.print(f"Accuracy on the held-back test labels: [bold]{accuracy:.2%}[/bold]")
    console.print(f"Done in {time.monotonic() - started:.0f} s. Browse it with:")
    console.print(f"  uv run mlflow ui --backend-store-uri {store.address}", soft_wrap=True)


@app.command()
def search(
    data: DataArgument,
    space: SpaceOption,
    name: Annotated[str | None, typer.Option(help="Name of the search; default: made up.")] = None,
    trials: Annotated[int | None, typer.Option(help="Members to train, recipes included.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Start no trial after so many minutes.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Trials at once; default: as many as fit.")] = None,
    cpus: Annotated[float | None, typer.Option(help="CPUs of one trial.")] = None,
    gpu: Annotated[
        str | None, typer.Option(help="GPUs of one trial: 0.25 shares one among four; auto: by its forecast.")
    ] = None,
    gpu_memory: Annotated[float | None, typer.Option(help="MiB of a GPU; default: look.")] = None,
    max_accum: Annotated[int | None, typer.Option(help="Largest accum to choose.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="none, or asha to stop weak trials early.")] = None,
    objective: Annotated[str | None, typer.Option(help="What the sampler minimises.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the select split and the sampler.")] = None,
    metric: MetricOption = "log_loss",
    method: MethodOption = "auto",
    weights: HandWeightsOption = None,
    stand_ins: StandInsOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the first trials, start nothing.")
    ] = False,
    weights_dir: WeightsDirOption = None,
    skip_corrupt: SkipCorruptOption = False,
    skip_conflicts: SkipConflictsOption = False,
    ray_address: Annotated[str | None, typer.Option(help="Ray cluster; default: this machine.")] = None,
    tracking_uri: UriOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Train the members of a search space, then select from them and write the submission.

    Example: tune-paddy search paddy/ --space paddy_search --trials 40 --gpu 0.5
    """
    settings = {
        "trials": trials,
        "minutes": minutes,
        "concurrency": concurrency,
        "cpus": cpus,
        "gpu": gpu,
        "gpu_memory": gpu_memory,
        "max_accum": max_accum,
        "scheduler": scheduler,
        "objective": objective,
        "seed": seed,
    }
    plan = _plan(
        data,
        space,
        runs,
        name=name,
        overrides={key: value for key, value in settings.items() if value is not None},
        stand_ins=stand_ins,
        skip=(skip_corrupt, skip_conflicts),
        weights_dir=weights_dir,
        ray_address=ray_address,
    )
    if dry_run:
        _print_preview(plan)
        return
    store = _store(tracking_uri, plan.dataset, runs)
    _search(plan, store)
    from tune_paddy.ensemble.choose import Wishes

    _select(store, [plan.name], runs, Wishes(metric=metric, method=method, weights=tuple(weights or ())))


@app.command()
def select(
    searches: Annotated[list[str], typer.Argument(help="Names of one or several searches.")],
    metric: MetricOption = "log_loss",
    method: MethodOption = "auto",
    weights: HandWeightsOption = None,
    max_members: Annotated[int | None, typer.Option(help="Most members in the ensemble.")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Most minutes to predict the test set.")] = None,
    max_size: Annotated[float | None, typer.Option(help="Most MiB of weights.")] = None,
    speed_factor: Annotated[float, typer.Option(help="How much slower the machine that predicts is.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the selection methods.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder of the files; default RUNS/SEARCH.")] = None,
    tracking_uri: UriOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Select an ensemble from finished members, and write the submission.

    Example: tune-paddy select my-search --metric error_rate
    """
    from tune_paddy.ensemble.choose import Wishes
    from tune_paddy.tracking.store import open_store

    wishes = Wishes(
        metric, method, tuple(weights or ()), max_members, max_minutes, max_size, speed_factor, seed
    )
    store = open_store(tracking_uri, experiment=None, artifact_root=runs / "artifacts", create=False)
    _select(store, searches, runs, wishes, out=out)


@app.command()
def submit(
    submission: Annotated[Path, typer.Argument(help="submission.csv")],
    message: Annotated[str, typer.Option("--message", "-m", help="Shown beside it.")] = "tune-paddy",
    competition: Annotated[str, typer.Option(help="Kaggle's name of it.")] = "paddy-disease-classification",
) -> None:
    """Send a submission to Kaggle with its official client.

    Example: tune-paddy submit runs/my-search/submission.csv -m "first ensemble"
    """
    from tune_paddy.data.kaggle import find_client
    from tune_paddy.data.kaggle import submit as send

    if not submission.is_file():
        raise InputError(f"there is no file {submission}; `tune-paddy select SEARCH` writes one")
    console.print(send(find_client(), submission, message, competition))


@weights_app.command("fetch")
def fetch(
    space: Annotated[str, typer.Argument(help="Search space: a file or a shipped name.")],
    to: Annotated[Path, typer.Option("--to", help="Folder for the weights.")] = Path("weights"),
) -> None:
    """Save the pretrained weights that a search space needs, for machines without a network.

    Example: tune-paddy weights fetch road_to_the_top --to weights
    """
    from tune_paddy.training.weights import fetch_weights

    archs = _load_space(space).architectures()
    fetch_weights(archs, to, done=lambda arch, path: console.print(f"{arch}: {path}", soft_wrap=True))


@data_app.command("check")
def check(
    data: DataArgument,
    skip_corrupt: SkipCorruptOption = False,
    skip_conflicts: SkipConflictsOption = False,
) -> None:
    """Check every image and label, and say what was found.

    Example: tune-paddy data check paddy/
    """
    from tune_paddy.core.config import SearchSettings
    from tune_paddy.data.split import make_select_split

    dataset = _open_dataset(data, (skip_corrupt, skip_conflicts))
    _print_dataset(dataset)
    settings = SearchSettings()
    split = make_select_split(dataset, share=settings.select_share, seed=settings.seed)
    console.print(
        f"A select split of {len(split.select_ids):,} images leaves {len(split.train_ids):,} to train on"
    )


@app.command()
def memory(
    space: Annotated[
        str | None, typer.Argument(help="A file, a shipped space, or `calibrate` to measure the GPU here.")
    ] = None,
    arch: Annotated[str | None, typer.Option(help="A single member instead of a space.")] = None,
    size: Annotated[str, typer.Option(help="Its side or HEIGHT,WIDTH, px.")] = "224",
    batch_size: Annotated[int, typer.Option(help="Images of an optimizer step.")] = 64,
    accum: Annotated[int | None, typer.Option(help="Micro-batches of a step; default: what fits.")] = None,
    precision: Annotated[str, typer.Option(help="fp32, fp16, bf16 or auto.")] = "auto",
    gpu: Annotated[str | None, typer.Option(help="Name of the GPU, such as 'Tesla P100'.")] = None,
    gpu_memory: Annotated[float | None, typer.Option(help="Its memory, MiB.")] = None,
    share: Annotated[str, typer.Option(help="Share of the GPU that a trial gets, or auto.")] = "auto",
    max_accum: Annotated[int | None, typer.Option(help="Largest accum to choose.")] = None,
    unfused: Annotated[bool, typer.Option("--unfused", help="Attention without fused kernels.")] = False,
    calibration: Annotated[str | None, typer.Option(help="Name or file of a calibration.")] = None,
    n_classes: Annotated[int, typer.Option(help="Classes to tell apart.")] = 10,
    stand_ins: StandInsOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of objects.")] = False,
    from_runs: Annotated[bool, typer.Option(help="calibrate: from recorded runs, no GPU.")] = False,
    name: Annotated[str, typer.Option(help="calibrate: name of the calibration.")] = "mine",
    tracking_uri: UriOption = None,
) -> None:
    """Say whether members fit a GPU, at which accum, and how many at once; needs no GPU.

    Example: tune-paddy memory road_to_the_top --gpu-memory 16280
    """
    if space == "calibrate":
        _calibrate(name, from_runs, gpu, tracking_uri)
        return
    from tune_paddy.data.space import SearchSpace
    from tune_paddy.training.planning import find_gpu, parse_share, plan_space

    if (space is None) == (arch is None):
        raise InputError("name either a search space or --arch; for example: tune-paddy memory digits_demo")
    if space is not None:
        loaded = _load_space(space)
    else:
        member = {"arch": arch, "size": _size(size), "batch_size": batch_size, "precision": precision}
        member |= {} if accum is None else {"accum": accum}
        loaded = SearchSpace.parse(json.dumps({"recipes": [member]}), name="--arch")
    if stand_ins:
        from tune_paddy.training.architectures import stand_in

        loaded = loaded.with_stand_ins(stand_in)
    target = find_gpu(gpu, gpu_memory, calibration)
    rows = list(
        plan_space(
            loaded,
            target,
            parse_share(share),
            n_classes=n_classes,
            max_accum=max_accum,
            unfused=unfused or None,
        )
    )
    _print_memory(rows, as_json, target)
    unfit = [row for row in rows if not row.plan.fits]
    if unfit:
        worst = unfit[0]
        raise TunePaddyError(
            f"{len(unfit)} of {len(rows)} do not fit {target.mib:,.0f} MiB: {worst.config.arch} at "
            f"{worst.config.size[0]}x{worst.config.size[1]} px takes {worst.plan.forecast_mib:,.0f} MiB "
            f"with accum {worst.plan.accum}; take a smaller size or model, or a larger share or GPU"
        )


def _size(text: str) -> int | list[int]:
    try:
        sides = [int(side) for side in text.split(",")]
    except ValueError:
        raise InputError(f"--size {text!r}: write a side, as 224, or HEIGHT,WIDTH, as 320,224") from None
    return sides[0] if len(sides) == 1 else sides


def _calibrate(name: str, from_runs: bool, gpu: str | None, tracking_uri: str | None) -> None:
    from tune_paddy.training.calibration_files import save_calibration

    if from_runs:
        from tune_paddy.core.calibration import calibrate
        from tune_paddy.tracking.memory import measured_points
        from tune_paddy.tracking.store import open_store

        store = open_store(tracking_uri, experiment=None, artifact_root=Path("runs"), create=False)
        points = measured_points(store)
        made = calibrate(
            points, name=name, gpu=gpu, versions={}, source=f"{len(points)} recorded members, by --from-runs"
        )
    else:
        from tune_paddy.training.calibrate import calibrate_gpu

        made = calibrate_gpu(name, report=lambda line: console.print(line, markup=False))
    path = save_calibration(made)
    console.print(
        f"{made.name}: {made.context_mib:,.0f} MiB + {made.slack:.3f} × the forecast, "
        f"margin {made.margin:.1%}; written to {path}",
        soft_wrap=True,
    )


def _print_memory(rows: "list[MemoryRow]", as_json: bool, gpu: "Gpu") -> None:
    if as_json:
        sys.stdout.write(json.dumps([row.to_dict() for row in rows], indent=1) + "\n")
        return
    from rich import box
    from rich.table import Table

    from tune_paddy.training.planning import size_words

    title = f"A GPU of {gpu.mib:,.0f} MiB, calibration {gpu.calibration.name}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("member", overflow="fold")
    for column in ("px", "batch", "M par.", "accum 1", "accum", "MiB", "margin", "share", "at once"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        plan = row.plan
        table.add_row(
            row.config.arch.partition(".")[0],
            size_words(row.config.size),
            str(row.config.batch_size),
            f"{row.footprint.parameters / 1e6:.1f}",
            f"{row.at_one.forecast_mib:,.0f}",
            str(plan.accum),
            f"{plan.forecast_mib:,.0f}",
            f"{plan.margin_mib:,.0f}",
            f"{plan.fraction:g}",
            str(plan.at_once) if plan.fits else "-",
            style=None if plan.fits else "red",
        )
    console.print(table)


def _open_dataset(data: Path, skip: tuple[bool, bool]) -> "Dataset":
    from tune_paddy.data.dataset import Dataset

    return Dataset.open(data, skip_corrupt=skip[0], skip_conflicts=skip[1])


def _load_space(space: str) -> "SearchSpace":
    from tune_paddy.data.space import SearchSpace, find_space
    from tune_paddy.training.model import check_arch

    return SearchSpace.load(find_space(space), check_arch=check_arch)


def _plan(
    data: Path,
    space: str,
    runs: Path,
    *,
    name: str | None,
    overrides: dict[str, Any],
    prefix: str | None = None,
    stand_ins: bool = False,
    skip: tuple[bool, bool] = (False, False),
    weights_dir: Path | None = None,
    ray_address: str | None = None,
) -> "SearchPlan":
    from tune_paddy.data.space import SearchSpace, find_space

    # The cheap mistakes first: torch, timm and Ray take many seconds to import.
    _settings(SearchSpace.load(find_space(space)).settings, overrides)
    dataset = _open_dataset(data, skip)
    _print_dataset(dataset)
    loaded = _load_space(space)
    if stand_ins:
        from tune_paddy.training.architectures import stand_in

        loaded = loaded.with_stand_ins(stand_in)
    settings = _settings(loaded.settings, overrides)
    from tune_paddy.search.run import SearchPlan

    chosen = name or _new_name(runs, prefix or loaded.name)
    return SearchPlan(
        name=chosen,
        dataset=dataset,
        space=loaded,
        settings=settings,
        folder=runs / chosen,
        weights_dir=weights_dir,
        ray_address=ray_address,
        ray_gpus=1 if platform.machine() == "arm64" and sys.platform == "darwin" else None,
        command=shlex.join(["tune-paddy", *sys.argv[1:]]),
    )


def _settings(settings: "SearchSettings", overrides: dict[str, Any]) -> "SearchSettings":
    from pydantic import ValidationError

    try:
        return type(settings)(**{**settings.model_dump(), **overrides})
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"--{first['loc'][0]}: {first['msg']}, not {first['input']!r}") from error


def _new_name(runs: Path, prefix: str) -> str:
    """The first free name; a search's folder says that its name is taken."""
    number = 1
    while (runs / f"{prefix}-{number}").exists():
        number += 1
    return f"{prefix}-{number}"


def _store(tracking_uri: str | None, dataset: "Dataset", runs: Path) -> "Store":
    from tune_paddy.tracking.store import open_store

    return open_store(
        tracking_uri, experiment=dataset.root.name, artifact_root=runs.absolute() / "artifacts", create=True
    )


def _search(plan: "SearchPlan", store: "Store") -> None:
    from tune_paddy.search.run import run_search

    console.print(f"Search [bold]{plan.name}[/bold] of space {plan.space.name}")
    started = time.monotonic()
    members = run_search(plan, store, console=console)
    seconds = time.monotonic() - started
    finished = sum(member.outcome == "finished" for member in members)
    console.print(f"{finished} of {len(members)} members finished in {seconds:.0f} s")
    for member in members:
        if member.outcome != "finished":
            line = f"{member.name}: {member.outcome}: {member.failure}"
            console.print(line, style="yellow", markup=False, soft_wrap=True)


def _select(
    store: "Store",
    searches: list[str],
    runs: Path,
    wishes: "Wishes | None" = None,
    *,
    out: Path | None = None,
) -> "Ensemble":
    from tune_paddy.ensemble.build import build_ensemble
    from tune_paddy.ensemble.report import print_ensemble

    folder = out or runs / searches[0]
    ensemble = build_ensemble(store, searches, folder=folder, wishes=wishes)
    print_ensemble(console, ensemble)
    if ensemble.submission is not None:
        console.print(f"Submission: {ensemble.submission}", soft_wrap=True)
    return ensemble


def _print_dataset(dataset: "Dataset") -> None:
    console.print(
        f"{len(dataset.labelled):,} labelled images of {len(dataset.classes)} classes, "
        f"{len(dataset.test):,} to predict"
    )
    for line in dataset.report.lines():
        console.print(line, style="yellow", markup=False, soft_wrap=True)


def _print_preview(plan: "SearchPlan") -> None:
    from rich.table import Table

    from tune_paddy.search.run import preview

    proposals = preview(plan, n=10)
    settings = plan.settings
    console.print(f"Each trial: {settings.cpus:g} CPUs, {settings.gpu} GPUs. The first {len(proposals)}:")
    table = Table("member", "from", "batch", "epochs", "lr", "resize", "seed")
    for proposal in proposals:
        config = proposal.config
        resize = f"{config.resize} {config.item_size[0]}x{config.item_size[1]}"
        row = [proposal.member, proposal.origin, config.batch_size, config.total_epochs, f"{config.lr:.2g}"]
        table.add_row(*map(str, row), resize, str(config.seed))
    console.print(table)
