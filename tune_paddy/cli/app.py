"""What every command shares: the program, its consoles, its common options, how data and spaces open."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from tune_paddy.data.system.text import redact

if TYPE_CHECKING:
    from tune_paddy.data.dataset import Dataset
    from tune_paddy.search.plan import SearchPlan
    from tune_paddy.spaces.space import SearchSpace
    from tune_paddy.tracking.store import Store

app = typer.Typer(
    name="tune-paddy",
    help="Search for the best averaged ensemble of image classifiers that your GPUs and hours can buy.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PIPED_WIDTH = 160  # columns of what goes into a file or another program
# No markup: names of files and members may hold square brackets, which it would take for tags.
console = Console(highlight=False, markup=False)
if not console.is_terminal:
    console = Console(highlight=False, markup=False, width=PIPED_WIDTH)
errors = Console(stderr=True, highlight=False, markup=False)

DataArgument = Annotated[Path, typer.Argument(help="Folder or CSV of labelled images.")]
UriOption = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri", envvar="MLFLOW_TRACKING_URI", help="MLflow; default sqlite:///mlflow.db here."
    ),
]
RunsOption = Annotated[
    Path, typer.Option("--runs", help="Folder for everything that is written.", file_okay=False)
]
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


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        console.print(f"tune-paddy {version('tune-paddy')}")
        raise typer.Exit


@app.callback()
def common(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    _debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options of every command."""


def open_dataset(data: Path, skip: tuple[bool, bool]) -> "Dataset":
    """Open a dataset; `skip` says whether to leave out corrupt images, and conflicting ones."""
    from tune_paddy.data.dataset import Dataset

    return Dataset.open(data, skip_corrupt=skip[0], skip_conflicts=skip[1])


def load_space(space: str) -> "SearchSpace":
    """Load a search space by its path or name, and check its architectures with timm."""
    from tune_paddy.spaces.space import SearchSpace, find_space
    from tune_paddy.training.networks.model import check_arch

    return SearchSpace.load(find_space(space), check_arch=check_arch)


def check_pretrained(plan: "SearchPlan") -> None:
    """Refuse a plan whose trials would not have their weights; a cluster's nodes may have other ones."""
    from tune_paddy.training.networks.pretrained import check_weights

    if plan.ray_address is None:
        check_weights(plan.space.weights(), plan.weights_dir)


def make_store(tracking_uri: str | None, dataset: "Dataset", runs: Path) -> "Store":
    """Open the record for new runs on a dataset, and make it where it is missing."""
    from tune_paddy.tracking.store import open_store

    return open_store(
        tracking_uri, experiment=dataset.root.name, artifact_root=runs.absolute() / "artifacts", create=True
    )


def print_dataset(dataset: "Dataset") -> None:
    """Say what a dataset holds, and what was found on opening it."""
    console.print(
        f"{len(dataset.labelled):,} labelled images of {len(dataset.classes)} classes, "
        f"{len(dataset.test):,} to predict"
    )
    for line in dataset.report.lines():
        console.print(line, style="yellow", soft_wrap=True)


def flag(name: str) -> str:
    """The option of a parameter on the command line.

    >>> flag("max_size")
    '--max-size'
    """
    return f"--{name.replace('_', '-')}"


def typed_command() -> str:
    """The command as it was typed, for the record, without the credentials in it."""
    return shlex.join(["tune-paddy", *map(redact, sys.argv[1:])])
