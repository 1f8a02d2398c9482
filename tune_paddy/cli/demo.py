"""The demo command: a complete search on images that ship with scikit-learn."""

import shlex
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from tune_paddy.cli.app import RunsOption, UriOption, app, console
from tune_paddy.cli.search import make_plan, record_of, session_of
from tune_paddy.cli.searching.training import train_and_print
from tune_paddy.cli.select import select_and_print
from tune_paddy.data.system.text import counted

_HARD = """\
Hard on purpose: scans of 8x8 px with added noise, networks without pretrained
weights, and half of the labelled images held back to judge the members."""

_NEXT = (
    "data check PHOTOS",
    "search PHOTOS --space paddy_search --trials 20",
    "predict paddy_search-1 NEW-PHOTOS/",
)
"""Commands to suggest after the demo, for the user's own images."""


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--data", help="Folder for the images.")] = Path(
        "data/noisy-digits"
    ),
    seed: Annotated[
        int | None, typer.Option(help="Seed of the select split, the sampler and the members; default: 42.")
    ] = None,
    tracking_uri: UriOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Search, select and predict on 1,797 real images of digits, in a minute or two, without a GPU.

    Example: tune-paddy demo
    """
    from tune_paddy.data.samples import DEMO_NOISE, TEST_LABELS, score_submission, write_digits
    from tune_paddy.tracking.names import Naming

    started = time.monotonic()
    overrides = {} if seed is None else {"seed": seed}
    console.print(f"Writing scikit-learn's handwritten digits to {shlex.quote(str(folder))}", soft_wrap=True)
    write_digits(folder, noise=DEMO_NOISE)
    naming = Naming(runs, prefix="demo")
    plan = make_plan(folder, "digits_demo", naming, overrides=overrides)
    console.print(_HARD)
    with session_of(plan) as ready:  # Ray's workers import torch while the record is created
        store, plan = record_of(plan, tracking_uri, naming)
        train_and_print(replace(ready, plan=plan), store, weights=False)
    ensemble = select_and_print(store, [plan.name], runs)
    if ensemble.submission is not None:
        accuracy = score_submission(ensemble.submission, folder / TEST_LABELS)
        images = counted(len(ensemble.pool.test_ids), "test image")
        console.print(f"\nAccuracy on the held-back labels of {images}: {100 * accuracy:.1f} %")
    console.print(f"Done in {time.monotonic() - started:.0f} s. Next, with your own images:")
    for command in _NEXT:
        console.print(f"  tune-paddy {command}")
