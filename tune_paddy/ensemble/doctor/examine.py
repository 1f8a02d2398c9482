"""Examine the labels of a search: read its pool, judge each label, list the suspects."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from tune_paddy.core.doctor.suspects import Diagnosis, diagnose
from tune_paddy.core.errors import InputError
from tune_paddy.core.predictions import Pool
from tune_paddy.data.system.text import counted, percent
from tune_paddy.tracking.files import IMAGES_FILE, read_text_of_search
from tune_paddy.tracking.pool import load_pool
from tune_paddy.tracking.runs import RecordedRun, get_search
from tune_paddy.tracking.schema import SearchRecord
from tune_paddy.tracking.store import Store

if TYPE_CHECKING:
    import pandas as pd

LEAST_LISTED, MOST_LISTED = 20, 1000
"""Number of images to list at least, for a look, and at most: a page has about 8 MB."""
_COLUMNS = ("id", "given", "likelier", "doubt", "votes")
_BEYOND = 2
"""Images to list for each one that is estimated to be wrong: the estimate says how many, not which."""


@dataclass(frozen=True)
class Change:
    """One of several labels of an image that is probably missing or wrong.

    Attributes:
        label: Name of the label.
        missing: Whether the image lacks it; otherwise it has it wrongly.
        doubt: Probability of this, 0 to 1.
    """

    label: str
    missing: bool
    doubt: float


@dataclass(frozen=True)
class Suspect:
    """Image whose label, or one of whose labels, may be wrong.

    Attributes:
        id: Image id.
        given: Given label; several joined by `|`, empty for none.
        likelier: Most probable other label, or the likelier set of labels.
        doubt: Probability that the given label, or the most doubtful one of several, is wrong, 0 to 1.
        votes: Number of views that predict another class than the given one, or that contradict one of the
            labels in doubt.
        changes: Labels to add or to remove, the most doubtful first; empty where an image has one class.
    """

    id: str
    given: str
    likelier: str
    doubt: float
    votes: int
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, eq=False)
class Examination:
    """Labels of a search, judged by the out-of-sample predictions of its members.

    Attributes:
        search: Name of the search.
        images: Number of judged images.
        labelled: Number of all labelled images; 0: unknown.
        views: Number of views that judged them.
        folded: Whether the search has folds.
        share: Estimated share of wrong labels, 0 to 1.
        count: Estimated number of wrong labels among the judged ones; 0: nothing is conspicuous.
        suspects: Most suspect images first.
        diagnosis: Figures behind it.
        pool: Predictions behind it.
    """

    search: str
    images: int
    labelled: int
    views: int
    folded: bool
    share: float
    count: int
    suspects: tuple[Suspect, ...]
    diagnosis: Diagnosis = field(repr=False)
    pool: Pool = field(repr=False)

    @property
    def conspicuous(self) -> bool:
        """Whether labels contradict the predictions more often than the predictions' own doubt explains."""
        return self.count > 0

    def finding(self) -> str:
        """Return the finding, one sentence."""
        judged = f"{counted(self.images, 'label')} judged by {counted(self.views, 'view')}"
        if not self.conspicuous:
            return f"{judged}: nothing is conspicuous; contradictions are as rare as mistakes of the members"
        return f"{judged}: about {self.count:,} ({percent(self.share)}) look wrong"

    def coverage(self) -> str:
        """Return which images were not judged, and how to judge them; empty if all were."""
        if self.images >= self.labelled:
            return ""
        if self.folded:
            return (
                f"{counted(self.labelled - self.images, 'labelled image')} not judged: images of a class "
                "that are all copies or of one group are only trained on"
            )
        return (
            f"only the select split is judged, {self.images:,} of "
            f"{counted(self.labelled, 'labelled image')}; a "
            "search with `folds` judges all of them"
        )

    def table(self) -> "pd.DataFrame":
        """Return the suspects as a table, the most suspect first: all but their changes."""
        import pandas as pd  # noqa: PLC0415 only a table needs it

        return pd.DataFrame([vars(suspect) for suspect in self.suspects], columns=list(_COLUMNS))


def examine(store: Store, search: str, *, most: int | None = None, seed: int = 0) -> Examination:
    """Examine the labels of a search.

    Args:
        store: The record.
        search: Name of the search.
        most: Number of images to list; None: twice the estimated number of wrong labels, at least
            `LEAST_LISTED`.
        seed: Seed of the folds in which the views are weighted.

    Raises:
        InputError: The search is unknown, is a refit, has no finished member or judges too few images.
        TunePaddyError: MLflow failed.
    """
    recorded = get_search(store, search)
    _refuse_refit(recorded)
    pool = load_pool(store, [search])
    if not pool.views:
        raise InputError(f"search {search!r} has no finished member that could judge the labels")
    with threadpool_limits(1):
        diagnosis = diagnose(pool.select, pool.labels, groups=pool.groups, seed=seed)
    count = diagnosis.noise.count
    listed = min(most or max(LEAST_LISTED, _BEYOND * count), MOST_LISTED)
    return Examination(
        search=search,
        images=len(pool.labels),
        labelled=_labelled(store, recorded, len(pool.labels)),
        views=len(pool.views),
        folded=bool((SearchRecord.from_run(recorded).settings or {}).get("folds")),
        share=diagnosis.noise.share,
        count=count,
        suspects=_suspects(pool, diagnosis, diagnosis.order[:listed].tolist()),
        diagnosis=diagnosis,
        pool=pool,
    )


def _suspects(pool: Pool, diagnosis: Diagnosis, rows: Sequence[int]) -> tuple[Suspect, ...]:
    noise, listed = diagnosis.noise, np.asarray(rows, np.intp)
    given = pool.task.decode(pool.labels[listed], pool.classes)
    likelier = pool.task.decode(noise.likelier[listed], pool.classes)
    return tuple(
        Suspect(
            id=str(pool.select_ids[row]),
            given=before,
            likelier=now,
            doubt=float(noise.wrong[row]),
            votes=int(diagnosis.votes[row]),
            changes=_changes(pool, diagnosis, row),
        )
        for row, before, now in zip(rows, given, likelier, strict=True)
    )


def _changes(pool: Pool, diagnosis: Diagnosis, row: int) -> tuple[Change, ...]:
    """Return the labels of an image that are probably missing or wrong, the most doubtful first."""
    given, noise = pool.labels[row], diagnosis.noise
    changes = [
        Change(name, missing=not given[question], doubt=float(noise.answers[question, row]))
        for question, name in enumerate(pool.task.questions(pool.classes))
        if noise.likelier[row, question] != given[question]
    ]
    return tuple(sorted(changes, key=lambda change: -change.doubt))


def _labelled(store: Store, search: RecordedRun, judged: int) -> int:
    """Return the number of labelled images of a search; that of the judged ones if the record lacks it."""
    text = read_text_of_search(store, search, IMAGES_FILE)
    return max(judged, sum(line.startswith("labelled,") for line in text.splitlines()))


def _refuse_refit(search: RecordedRun) -> None:
    before = ", ".join(SearchRecord.from_run(search).refit_of)
    if before:
        raise InputError(
            f"search {search.name!r} is a refit, whose members have seen all labels: examine {before}"
        )
