"""The HTML report of a selection: one page without other files, network access or scripts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from tune_paddy.core.estimate import Comparison, wilson
from tune_paddy.core.metrics import error_rate, metric_label
from tune_paddy.data.pixel_range import PixelRange
from tune_paddy.data.thumbnails import data_uri, thumbnail_uri
from tune_paddy.ensemble.ensemble import Ensemble
from tune_paddy.ensemble.options import SelectionOptions, select_command
from tune_paddy.ensemble.reports.caveats import caveats
from tune_paddy.ensemble.reports.hard_images import HardImage, HardImages, find_files, find_hard_images
from tune_paddy.ensemble.reports.member_rows import MemberRow, ensemble_rows
from tune_paddy.ensemble.reports.summary import answer
from tune_paddy.ensemble.reports.terminal import RIVALS, gain_of, rivals
from tune_paddy.ensemble.reports.wording import formatted, signed
from tune_paddy.tracking.runs import RecordedRun
from tune_paddy.tracking.schema import SearchRecord

REPORT = "report.html"
MOST_IMAGES = 18
"""Maximum number of images of each kind (wrong, unsure, unsure in the test set); the page has about 1 MB."""


@dataclass(frozen=True)
class Sources:
    """Origin of an ensemble, for the report.

    Attributes:
        searches: Runs of the searches that the ensemble was selected from.
        members: Runs of the members of all these searches, of any outcome.
        options: Options of the selection.
        space: YAML text of the first search's space; empty if unknown.
    """

    searches: Sequence[RecordedRun]
    members: Sequence[RecordedRun]
    options: SelectionOptions
    space: str = ""


def write_report(path: Path, ensemble: Ensemble, sources: Sources, figures: Sequence[Path]) -> None:
    """Write the report of an ensemble.

    Args:
        path: Path of the page.
        ensemble: Selected ensemble.
        sources: Origin of the ensemble.
        figures: PNG files to show, in this order.
    """
    # Names of files and classes are untrusted: the template escapes every value.
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = resources.files("tune_paddy.ensemble.reports").joinpath("report_page.html").read_text("utf-8")
    page = environment.from_string(template).render(_content(ensemble, sources, figures))
    path.write_text(page, encoding="utf-8")


def _content(ensemble: Ensemble, sources: Sources, figures: Sequence[Path]) -> dict[str, Any]:
    pool, selection, assessment = ensemble.pool, ensemble.selection, ensemble.assessment
    search = SearchRecord.from_run(sources.searches[0])
    rows = ensemble_rows(ensemble, sources.members)
    labelled, test = find_files(search.images, search.read_options) if search.images else ({}, {})
    return {
        "title": f"Ensemble of {' and '.join(one.name for one in sources.searches)}",
        "scores": _scores(ensemble),
        "answer": " ".join((*answer(ensemble), *caveats(pool))),
        "submission": ensemble.submission,
        "n_test": len(pool.test_ids),
        "n_select": len(pool.labels),
        "classes": pool.classes,
        "metric": metric_label(selection.metric),
        "method": selection.method,
        "members": [_member(row) for row in rows],
        "largest": rows[0].weight,
        "own_score": "" if assessment is None else f"{assessment.estimate.score:.4f}",
        "comparisons": [_comparison(rival) for rival in rivals(ensemble)],
        "failures": [member for member in sources.members if member.outcome not in ("finished", "running")],
        "hard": _with_thumbnails(_hard_images(ensemble), labelled, test, search.read_options.range),
        "found_images": bool(labelled),
        "dataset": search.images or "",
        "figures": [
            {"name": file.stem.replace("_", " "), "source": data_uri(file.read_bytes(), "image/png")}
            for file in figures
        ],
        "commands": _commands(sources),
        "space": sources.space,
        "version": version("tune-paddy"),
        "split": pool.split,
        "revision": search.revision,
    }


def _scores(ensemble: Ensemble) -> list[dict[str, str]]:
    """Return the scores at the top of the page: the metric of the selection, and the error rate."""
    selection, assessment, n_images = ensemble.selection, ensemble.assessment, len(ensemble.pool.labels)
    metric = metric_label(selection.metric)
    if assessment is None:
        return [
            {"what": metric, "value": f"{selection.score:.4f}", "detail": "optimistic: no honest estimate"}
        ]
    own = assessment.estimate
    error = error_rate(assessment.predictions, ensemble.pool.labels)
    low, high = wilson(error, n_images)
    scores = [
        {
            "what": f"{metric} on new images",
            "value": f"{own.score:.4f}",
            "detail": f"95 %: {own.low:.4f} to {own.high:.4f}",
        },
        {"what": "of new images wrong", "value": f"{error:.2%}", "detail": f"95 %: {low:.2%} to {high:.2%}"},
    ]
    return scores[1:] if selection.metric == "error_rate" else scores


def _member(row: MemberRow) -> dict[str, Any]:
    """Format a row of the table of members."""
    return {
        "name": row.name,
        "weight": row.weight,
        "contribution": signed(row.contribution),
        "log_loss": formatted(row.log_loss, ".4f"),
        "tta_log_loss": formatted(row.tta_log_loss, ".4f"),
        "error": formatted(row.error, ".2%"),
        "cost": row.cost,
    }


def _comparison(rival: Comparison) -> dict[str, str]:
    return {
        "name": RIVALS[rival.rival],
        "score": f"{rival.rival_score:.4f}",
        "gain": gain_of(rival),
    }


def _hard_images(ensemble: Ensemble) -> HardImages:
    """Find the hard images by cross-fitted predictions if there are any: a selection has seen its labels."""
    pool, selection = ensemble.pool, ensemble.selection
    known = ensemble.assessment.predictions if ensemble.assessment else selection.blend(pool.select)
    return find_hard_images(pool, known, selection.blend(pool.test), most=MOST_IMAGES)


def _with_thumbnails(
    hard: HardImages,
    labelled: Mapping[str, Path],
    test: Mapping[str, Path],
    pixel_range: PixelRange | None,
) -> dict[str, Any]:
    def shown(images: Sequence[HardImage], files: Mapping[str, Path]) -> list[dict[str, Any]]:
        return [
            {**vars(image), "thumbnail": _thumbnail(files.get(image.name), pixel_range)} for image in images
        ]

    return {
        "wrong": shown(hard.wrong, labelled),
        "n_wrong": hard.n_wrong,
        "unsure": shown(hard.unsure, labelled),
        "test": shown(hard.test, test),
    }


def _thumbnail(file: Path | None, pixel_range: PixelRange | None) -> str | None:
    return None if file is None else thumbnail_uri(file, pixel_range=pixel_range)


def _commands(sources: Sources) -> list[dict[str, str]]:
    lines = {search.name: SearchRecord.from_run(search).command for search in sources.searches}
    commands = [{"what": f"The search {name}", "line": line} for name, line in lines.items() if line]
    names = [search.name for search in sources.searches]
    return [*commands, {"what": "This selection", "line": select_command(names, sources.options)}]
