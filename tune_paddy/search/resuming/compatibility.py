"""Refuse to resume a search with another space, dataset or fixed setting; show the differences."""

import csv
import difflib
import io
from collections.abc import Iterator, Mapping

from tune_paddy.core.errors import InputError
from tune_paddy.core.teaching.words import TAUGHT
from tune_paddy.data.image_table import HEADER, describe_images
from tune_paddy.data.system.text import listed, shown
from tune_paddy.search.licences import ANY
from tune_paddy.search.plan import SearchPlan
from tune_paddy.tracking.history import RecordedSearch

FIXED = ("seed", "folds", "select_share", "objective", "licences", "storage", *TAUGHT)
"""Settings that a resume cannot change: they decide split, proposals, objective, targets and storage."""

_RECORDED_LATER = {"licences": ANY, "storage": None}
"""Setting that earlier versions did not have → the value that they behaved like."""


def check_same(plan: SearchPlan, recorded: RecordedSearch) -> None:
    """Compare a plan with the recorded search that it resumes.

    Args:
        plan: Plan of the resumed search.
        recorded: The search in the record.

    Raises:
        InputError: The space, the dataset or a fixed setting differs; the message shows the differences.
    """
    record, advice = recorded.record, "start a search under a new name"
    if plan.dataset.fingerprint != record.dataset_fingerprint:
        # If the record's table cannot be read, every image counts as new.
        differences = list(_image_differences(recorded.images, describe_images(plan.dataset)))
        raise InputError(
            f"{shown(plan.dataset.root)}: holds other images or labels than when search {plan.name!r} began; "
            f"restore them, or {advice}{listed(differences, len(differences))}"
        )
    if plan.space.fingerprint != record.space_fingerprint:
        lines = list(_text_differences(recorded.space, plan.space.text))
        if not lines and plan.settings.licences != ANY:
            raise InputError(
                f"`licences: {plan.settings.licences}` leaves other architectures of the space "
                f"{plan.space.name!r} than when search {plan.name!r} began: timm states other licences now; "
                f"install the version of timm from then, or {advice}"
            )
        raise InputError(
            f"the space {plan.space.name!r} is not the one that search {plan.name!r} began with; leave out "
            f"`space`, or {advice}{listed(lines, len(lines))}",
            options=("space",),
        )
    settings = plan.settings.model_dump(mode="json")
    # Versions without teachers recorded none of these settings; parameters would parse a name such as 1.50.
    teachers = {name: (record.settings or {}).get(name) for name in TAUGHT}
    before = {**_RECORDED_LATER, **recorded.settings, **teachers}
    changed = [name for name in FIXED if name in before and before[name] != settings[name]]
    if changed:
        lines = [f"{name}: {before[name]} → {settings[name]}" for name in changed]
        raise InputError(
            f"search {plan.name!r} has settings that cannot change; keep them, or {advice}"
            f"{listed(lines, len(lines))}"
        )


def _image_differences(before: str, now: str) -> Iterator[str]:
    old, new = _by_image(before), _by_image(now)
    for part, name in sorted(old.keys() | new.keys()):
        image = f"{part} image {shown(name)}"
        was, is_now = old.get((part, name)), new.get((part, name))
        if was is None:
            yield f"{image}: is new"
        elif is_now is None:
            yield f"{image}: is missing"
        elif was[0] != is_now[0]:
            yield f"{image}: label {shown(was[0])} → {shown(is_now[0])}"
        elif was[1] != is_now[1]:
            yield f"{image}: the file has changed"


def _by_image(text: str) -> Mapping[tuple[str, str], tuple[str, str]]:
    rows = csv.reader(io.StringIO(text, newline=""))
    return {(row[0], row[1]): (row[2], row[3]) for row in rows if len(row) == len(HEADER)}


def _text_differences(before: str, now: str) -> Iterator[str]:
    lines = difflib.unified_diff(before.splitlines(), now.splitlines(), lineterm="", n=0)
    return (line for line in lines if not line.startswith(("---", "+++", "@@")))
