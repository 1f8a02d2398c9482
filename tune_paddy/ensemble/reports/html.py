"""The HTML report of a selection: one page without other files, network access or scripts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from numpy.typing import NDArray

from tune_paddy.core.estimate import Comparison, estimate, wilson
from tune_paddy.core.metrics import metric_label
from tune_paddy.core.selection.decisions import scored
from tune_paddy.data.layouts.locate import find_files
from tune_paddy.data.pixel_range import PixelRange
from tune_paddy.data.system.files import write_atomically
from tune_paddy.data.system.text import shown_value
from tune_paddy.data.thumbnails import thumbnail_uri
from tune_paddy.ensemble.ensemble import Ensemble
from tune_paddy.ensemble.options import SelectionOptions, select_command
from tune_paddy.ensemble.reports.caveats import caveats
from tune_paddy.ensemble.reports.hard_images import HardImage, HardImages, find_hard_images
from tune_paddy.ensemble.reports.member_rows import MemberRow, best_other_view, ensemble_rows
from tune_paddy.ensemble.reports.page.facts import facts
from tune_paddy.ensemble.reports.page.gains import ClassGains
from tune_paddy.ensemble.reports.page.pairs import confused_pairs
from tune_paddy.ensemble.reports.page.picture import SECTIONS, Picture
from tune_paddy.ensemble.reports.page.weights import used_weights
from tune_paddy.ensemble.reports.rivals import RIVALS, gain_of, rivals
from tune_paddy.ensemble.reports.summary import headline
from tune_paddy.ensemble.reports.wording import formatted, signed
from tune_paddy.tracking.runs import RecordedRun
from tune_paddy.tracking.schema import SearchRecord

REPORT = "report.html"
MOST_IMAGES = 18
"""Maximum number of images of each kind (wrong, unsure, unsure in the test set); the page has about 1 MB."""
MOST_ROWS = 20
"""Maximum number of members in the table; the others are in a second, collapsed one."""
SMALL_SIDE = 112
"""Longer side of the thumbnails of confused pairs, in px."""


@dataclass(frozen=True)
class Sources:
    """Origin of an ensemble, for the report.

    Attributes:
        searches: Runs of the searches that the ensemble was selected from.
        members: Runs of the members of all these searches, of any outcome.
        options: Options of the selection.
        space: YAML text of the first search's space; empty if unknown.
        tracking_uri: Address of the record; empty if unknown.
        written: Time of the report; None: now.
    """

    searches: Sequence[RecordedRun]
    members: Sequence[RecordedRun]
    options: SelectionOptions
    space: str = ""
    tracking_uri: str = ""
    written: datetime | None = None


def write_report(
    path: Path,
    ensemble: Ensemble,
    sources: Sources,
    pictures: Sequence[Picture] = (),
    gains: ClassGains | None = None,
) -> None:
    """Write the report of an ensemble.

    Args:
        path: Path of the page.
        ensemble: Selected ensemble.
        sources: Origin of the ensemble.
        pictures: Figures to show.
        gains: Gain over the best single member per class; None: unknown.
    """
    # Names of files and classes are untrusted: the template escapes every value.
    environment = Environment(
        autoescape=True, finalize=shown_value, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = resources.files("tune_paddy.ensemble.reports").joinpath("report_page.html").read_text("utf-8")
    page = environment.from_string(template).render(_content(ensemble, sources, pictures, gains))
    write_atomically(path, page.encode())


def _content(
    ensemble: Ensemble, sources: Sources, pictures: Sequence[Picture], gains: ClassGains | None
) -> dict[str, Any]:
    pool, selection, assessment = ensemble.pool, ensemble.selection, ensemble.assessment
    search = SearchRecord.from_run(sources.searches[0])
    rows = ensemble_rows(ensemble, sources.members)
    files = labelled, test = find_files(search.images, search.read_options) if search.images else ({}, {})
    known = assessment.predictions if assessment else selection.blend(pool.select)
    decisions = assessment.decisions if assessment else scored(selection, known)
    return {
        "title": _title(ensemble, sources),
        "scores": _scores(ensemble),
        "facts": list(
            facts(
                pool,
                sources.searches,
                sources.members,
                images=files,
                tracking_uri=sources.tracking_uri,
                written=sources.written or datetime.now(UTC),
            )
        ),
        "headline": " ".join((*headline(ensemble), *caveats(pool))),
        "submission": ensemble.submission,
        "n_test": len(pool.test_ids),
        "n_select": len(pool.labels),
        "classes": pool.classes,
        "several_labels": pool.task.independent,
        "metric": metric_label(selection.metric),
        "method": selection.method,
        "members": [_member(row) for row in rows[:MOST_ROWS]],
        "more_members": [_member(row) for row in rows[MOST_ROWS:]],
        "largest": rows[0].weight,
        "pretrained": list(used_weights(ensemble, sources.members)),
        "own_score": "" if assessment is None else f"{assessment.estimate.score:.4f}",
        "comparisons": [_comparison(rival) for rival in rivals(ensemble)],
        "failures": [member for member in sources.members if member.outcome not in ("finished", "running")],
        "pairs": _pairs(ensemble, (known, decisions), labelled, search.read_options.range),
        "cross_fitted": assessment is not None,
        "hard": _with_thumbnails(
            find_hard_images(pool, known, selection.blend(pool.test), decisions, most=MOST_IMAGES),
            labelled,
            test,
            search.read_options.range,
        ),
        "found_images": bool(labelled),
        "dataset": search.images or "",
        "figures": _by_section(pictures),
        "class_rows": [] if gains is None else _class_rows(gains),
        "commands": _commands(sources),
        "space": sources.space,
        "version": version("tune-paddy"),
        "split": pool.split,
        "revision": search.revision,
    }


def _title(ensemble: Ensemble, sources: Sources) -> str:
    """Return the ensemble's name, unless it has none yet, and those of its searches."""
    named = f"Ensemble {ensemble.name}" if ensemble.name else "Ensemble"
    return f"{named} of {' and '.join(one.name for one in sources.searches)}"


def _scores(ensemble: Ensemble) -> list[dict[str, str]]:
    """Return the scores at the top of the page: the metric of the selection, and the error rate."""
    selection, assessment = ensemble.selection, ensemble.assessment
    metric = metric_label(selection.metric)
    if assessment is None:
        return [
            {
                "what": f"{metric} on the select split",
                "value": f"{selection.score:.4f}",
                "detail": "optimistic: no honest estimate",
            }
        ]
    own = assessment.estimate
    pool = ensemble.pool
    wrong = estimate(assessment.decisions, pool.labels, metric="error_rate", groups=pool.groups)
    scores = [
        {
            "what": f"{metric} on new images",
            "value": f"{own.score:.4f}",
            "detail": f"95 %: {own.low:.4f} to {own.high:.4f}",
        },
        {
            "what": "of labels wrong" if ensemble.pool.task.independent else "of new images wrong",
            "value": f"{wrong.score:.2%}",
            "detail": f"95 %: {wrong.low:.2%} to {wrong.high:.2%}",
        },
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
        "other": best_other_view(row),
        "error": formatted(row.error, ".2%"),
        "cost": row.cost,
        "proposal": ": ".join(filter(None, (row.proposed_by, row.origin))),
    }


def _comparison(rival: Comparison) -> dict[str, str]:
    return {
        "name": RIVALS[rival.rival],
        "score": f"{rival.rival_score:.4f}",
        "gain": gain_of(rival),
    }


def _by_section(pictures: Sequence[Picture]) -> dict[str, list[Picture]]:
    """Return heading → its pictures, without empty sections."""
    found = {picture.name: picture for picture in pictures}
    sections = {heading: [found[name] for name in names if name in found] for heading, names in SECTIONS}
    return {heading: shown for heading, shown in sections.items() if shown}


def _class_rows(gains: ClassGains) -> list[dict[str, Any]]:
    """Return the numbers of each class, the lowest recall first."""
    columns = (gains.images, gains.ensemble, gains.single, gains.corrected, gains.broken)
    rows = []
    for name, *counts in zip(gains.classes, *(column.tolist() for column in columns), strict=True):
        images, own, single, corrected, broken = counts
        if not images:
            continue  # nothing judges the class
        low, high = wilson(own / images, images)
        recall = f"{own / images:.1%} ({low:.1%} to {high:.1%})"
        rows.append({"name": name, "images": images, "recall": recall, "ensemble": own, "single": single,
                     "corrected": corrected, "broken": broken})  # fmt: skip
    return sorted(rows, key=lambda row: (row["ensemble"] / row["images"], row["name"]))


def _pairs(
    ensemble: Ensemble,
    known: tuple[NDArray[np.float64], NDArray[np.float64]],
    labelled: Mapping[str, Path],
    pixel_range: PixelRange | None,
) -> list[dict[str, Any]]:
    """Return the confused pairs with thumbnails, which typical images of several pairs share."""

    @cache
    def thumbnail(name: str) -> str | None:
        if name not in labelled:
            return None
        return thumbnail_uri(labelled[name], SMALL_SIDE, pixel_range=pixel_range)

    kinds = ("wrong", "like_truth", "like_taken")
    return [
        vars(pair) | {kind: [(name, thumbnail(name)) for name in getattr(pair, kind)] for kind in kinds}
        for pair in confused_pairs(ensemble.pool, *known)
    ]


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
