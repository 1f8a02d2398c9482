"""Results of the Python API: a search, a pool of its members, an ensemble, a forecast of memory."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tune_paddy.api.display import as_html, as_text
from tune_paddy.api.leaderboard import leaderboard, view_table
from tune_paddy.api.record import existing_record
from tune_paddy.core import predictions
from tune_paddy.core.arguments.checked import checked
from tune_paddy.core.errors import InputError
from tune_paddy.core.metrics import metric_label
from tune_paddy.data.submission.form import SubmissionFormat
from tune_paddy.data.system.text import counted
from tune_paddy.ensemble.options import SelectionOptions
from tune_paddy.ensemble.reports.wording import NEW_IMAGES, score

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from tune_paddy.core.estimate import Assessment, Estimate
    from tune_paddy.core.selection.result import Selection
    from tune_paddy.tracking.runs import RecordedRun
    from tune_paddy.training.forecast.planning import MemoryRow

_COLUMNS = ["member", "log_loss", "tta_log_loss", "error_rate", "tta_error_rate"]
"""Columns of a leaderboard in a `repr`."""


@dataclass(frozen=True, eq=False, repr=False)
class Pool(predictions.Pool):
    """Aligned predictions of the finished members of one or more searches.

    Attributes:
        form: Column names of a submission, as recorded with the first search.
        searches: Names of the searches.
        tracking_uri: Absolute address of the record; may hold credentials.
    """

    form: SubmissionFormat = field(default_factory=SubmissionFormat)
    searches: tuple[str, ...] = ()
    tracking_uri: str = ""

    @checked
    def leaderboard(self) -> "pd.DataFrame":
        """Return a row per member, the lowest log loss first.

        Columns: `member`, `search`, `arch`, `size` ((height, width) in px); `log_loss` (nats) and
        `error_rate` (0 to 1) on the select split, and with test-time augmentation `tta_log_loss` and
        `tta_error_rate`; `train_seconds`; `parameters_m` (millions); `run_id` (MLflow's). A value that is
        unknown is NaN or None.
        """
        return leaderboard(self)

    @checked
    def plot(self, *, metric: str = "log_loss") -> "Figure":
        """Draw the score of each member on the select split, the best at the top.

        Args:
            metric: Metric to draw, such as `log_loss` or `error_rate`.

        Raises:
            InputError: The metric is unknown.
        """
        from tune_paddy.api.figures import draw_members

        return draw_members(self, metric=metric)

    @checked
    def report(self, folder: str | Path = "report", *, show: bool = False) -> Path:
        """Select an ensemble with the default options and write its report; see `Chosen.report`."""
        from tune_paddy.api import select

        return select(self).report(folder, show=show)

    def __repr__(self) -> str:
        return as_text(self._headline(), self.leaderboard()[_COLUMNS].dropna(axis="columns", how="all"))

    def _repr_html_(self) -> str:
        shown = self.leaderboard().drop(columns=["run_id", *(["search"] if len(self.searches) == 1 else [])])
        return as_html(self._headline(), shown)

    def _headline(self) -> str:
        return super().__repr__().strip("<>")


@dataclass(frozen=True, repr=False)
class SearchResult:
    """A search that has run.

    Attributes:
        name: Name for `load_pool` and the commands.
        members: Runs of all members, also of those that failed or were stopped early.
        folder: Folder of the search's files.
        tracking_uri: Absolute address of the record; may hold credentials.
    """

    name: str
    members: "tuple[RecordedRun, ...]"
    folder: Path
    tracking_uri: str

    @cached_property
    def pool(self) -> Pool:
        """Pool of the finished members, read from the record at the first use.

        Raises:
            InputError: No member is finished.
        """
        from tune_paddy.api import load_pool

        return load_pool(self.name, tracking_uri=self.tracking_uri)

    @checked
    def leaderboard(self) -> "pd.DataFrame":
        """Return a row per finished member, see `Pool.leaderboard`."""
        return self.pool.leaderboard()

    @checked
    def plot(self, *, metric: str = "log_loss") -> "Figure":
        """Draw the score of each finished member, see `Pool.plot`."""
        return self.pool.plot(metric=metric)

    @checked
    def report(self, folder: str | Path = "report", *, show: bool = False) -> Path:
        """Select an ensemble with the default options and write its report; see `Chosen.report`."""
        return self.pool.report(folder, show=show)

    def __repr__(self) -> str:
        others = [member for member in self.members if member.outcome != "finished"]
        finished = f"{len(self.members) - len(others)} of {counted(len(self.members), 'member')} finished"
        lines = [f"{member.name}: {member.outcome}: {member.failure[:200]}" for member in others[:5]]
        more = [f"… and {len(others) - 5} more"] if len(others) > len(lines) else []
        return "\n".join([f"<Search {self.name}: {finished}, files in {self.folder}>", *lines, *more])

    def _repr_html_(self) -> str:
        if not any(member.outcome == "finished" for member in self.members):
            from html import escape

            return f"<pre>{escape(repr(self))}</pre>"
        return as_html(repr(self).strip("<>"), self.leaderboard().drop(columns=["search", "run_id"]))


@dataclass(frozen=True, eq=False, repr=False)
class Chosen:
    """An ensemble selected from a pool; neither written nor recorded.

    Attributes:
        pool: Pool that it was selected from.
        selection: Ensemble weights and the path to them; its `score` is optimistic.
        assessment: Score on images that the selection has not seen, with those of rivals; None: a class has
            a single image in the select split, or the ensemble was read from the record.
        options: Options of the selection.
        recorded: Recorded score on images that the selection has not seen, for an ensemble from the record.
    """

    pool: predictions.Pool
    selection: "Selection"
    assessment: "Assessment | None"
    options: SelectionOptions = field(default_factory=SelectionOptions)
    recorded: "Estimate | None" = None

    @checked
    def table(self) -> "pd.DataFrame":
        """Return a row per view of the pool, the largest weight first.

        Columns: `member`, `view` (`plain` or `tta`), `arch`, `weight`, and on the select split `log_loss`
        (nats) and `error_rate` (0 to 1).
        """
        import pandas as pd

        return view_table(self.pool, pd.Series(self.selection.weights))

    @checked
    def predict(self) -> "pd.DataFrame":
        """Return the probabilities of the test images: ids as the index, classes as columns.

        The index has the name of the recorded id column.
        """
        import pandas as pd

        blended = self.selection.blend(self.pool.test)
        ids = pd.Index(self.pool.test_ids, name=_form(self.pool).id_column)
        return pd.DataFrame(blended, index=ids, columns=list(self.pool.classes))

    @checked
    def write_submission(self, path: str | Path = "submission.csv") -> Path:
        """Write the submission of the test images in the form that is recorded with the search.

        Args:
            path: Path of the CSV; an existing file is replaced.

        Raises:
            InputError: There are no test images.
            TunePaddyError: The file cannot be written.
        """
        from tune_paddy.data.submission.files import write_submission
        from tune_paddy.ensemble.build import predicted_labels

        pool, written = self.pool, Path(path)
        if not len(pool.test_ids):
            raise InputError("there are no test images, so there is no submission")
        probs = self.selection.blend(pool.test)
        labels = predicted_labels(self.selection, probs, pool.classes)
        ids = pool.test_ids.tolist()
        write_submission(written, ids, probs, labels, _form(pool), classes=pool.classes)
        return written

    @checked
    def labels(self) -> "pd.Series[Any]":
        """Return the decision for each test image; `labels().to_csv(path)` writes a table of labels.

        It is the most likely class, the grade by the fitted thresholds, or the labels, joined. Index and
        values have the names of the recorded columns of a submission.
        """
        import pandas as pd

        from tune_paddy.ensemble.build import predicted_labels

        probs = self.predict()
        labels = predicted_labels(self.selection, probs.to_numpy(), self.pool.classes)
        return pd.Series(labels, index=probs.index, name=_form(self.pool).label_column)

    @checked
    def plot(self) -> "Figure":
        """Draw the members' scores and weights, and the ensemble's score on new images."""
        from tune_paddy.api.figures import draw_members

        weights: dict[str, float] = {}
        for view, weight in zip(self.pool.views, self.selection.weights.tolist(), strict=True):
            weights[view.member] = weights.get(view.member, 0.0) + weight
        estimate = None if self.assessment is None else self.assessment.estimate
        return draw_members(self.pool, metric=self.selection.metric, weights=weights, estimate=estimate)

    @checked
    def report(self, folder: str | Path = "report", *, show: bool = False) -> Path:
        """Write the report of this ensemble, with its figures; record nothing.

        Args:
            folder: Output folder; created if missing. Files of an earlier report are replaced.
            show: Whether to open the page in a browser.

        Returns:
            Path of the page, `report.html`.

        Raises:
            InputError: The pool is not one of `load_pool`.
        """
        import webbrowser

        from tune_paddy.ensemble.build import write_pages

        if not isinstance(self.pool, Pool):
            raise InputError("a report needs a pool from `load_pool`, which knows its record")
        page = write_pages(
            existing_record(self.pool.tracking_uri),
            self.pool.searches,
            self.pool,
            self.selection,
            self.assessment,
            folder=Path(folder),
            options=self.options,
        )
        if show:
            webbrowser.open(page.absolute().as_uri())
        return page

    def __repr__(self) -> str:
        return as_text(self._headline(), self._members())

    def _repr_html_(self) -> str:
        return as_html(self._headline(), self._chosen())

    def _members(self) -> "pd.DataFrame":
        """Return a row per member of the ensemble, the largest weight first."""
        views = self._chosen().groupby("member", sort=False)
        members = views.agg(weight=("weight", "sum"), views=("view", " + ".join)).reset_index()
        return members.sort_values("weight", ascending=False, kind="stable")

    def _chosen(self) -> "pd.DataFrame":
        table = self.table()
        return table[table["weight"] > 0]

    def _headline(self) -> str:
        members = counted(self._chosen()["member"].nunique(), "member")
        name = self.selection.metric
        estimate = self.recorded if self.assessment is None else self.assessment.estimate
        if estimate is None:
            said = f"{score(name, self.selection.score)} on the images it was selected on: optimistic"
        else:
            ends = f"{score(name, estimate.low)} to {score(name, estimate.high)}"
            said = f"{score(name, estimate.score)} {NEW_IMAGES} (95 % interval {ends})"
        return f"Ensemble of {members} ({self.selection.method}): {metric_label(name)} {said}"


class Forecast(tuple["MemoryRow", ...]):
    """Forecasts of memory and time, a row per member of a space."""

    __slots__ = ()

    @checked
    def table(self) -> "pd.DataFrame":
        """Return a row per member: its parameters, footprint in MiB, accum, whether it fits, and its time.

        `seconds_per_epoch` and `seconds` (of the whole member) are NaN or None if they are unknown.
        `time_from` says where they come from: `record`, earlier members of the same kind on the device;
        `timed`, steps that were timed now; `operations`, those of another kind, by the number of operations.
        """
        from tune_paddy.api.table import Table

        return Table([row.to_dict() for row in self])

    def __repr__(self) -> str:
        return as_text(self._headline(), self._shown())

    def _repr_html_(self) -> str:
        return as_html(self._headline(), self._shown())

    def _shown(self) -> "pd.DataFrame":
        columns = ["origin", "arch", "size", "batch_size", "accum", "forecast_mib", "fits"]
        columns += ["seconds_per_epoch"] if any(row.time is not None for row in self) else []
        return self.table().reindex(columns=columns)

    def _headline(self) -> str:
        return f"{sum(row.plan.fits for row in self)} of {counted(len(self), 'member')} fit"


def _form(pool: predictions.Pool) -> SubmissionFormat:
    return pool.form if isinstance(pool, Pool) else SubmissionFormat()
