"""What the predict command writes and prints beside its table."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tune_paddy.cli.app import errors, open_record
from tune_paddy.core.errors import TunePaddyError
from tune_paddy.data.system.text import counted, shown

if TYPE_CHECKING:
    from tune_paddy.serving.ensemble_model import Answer, EnsembleModel
    from tune_paddy.serving.predicted.submission import Form, Rows

MOST_CLASSES = 20
"""Maximum number of classes in the summary."""


@dataclass(frozen=True)
class PlannedSubmission:
    """Form and rows of a submission, known before anything is predicted."""

    form: "Form"
    rows: "Rows"

    def write(self, path: Path, answer: "Answer") -> None:
        """Write the submission, and print what it names.

        Args:
            path: Path of the CSV.
            answer: Predictions of all files, none of them unreadable.

        Raises:
            TunePaddyError: The file cannot be written.
        """
        from tune_paddy.data.submission.files import write_submission
        from tune_paddy.data.submission.form import SAMPLE

        labels, files = answer.labels(), list(self.rows.files)
        write_submission(
            path,
            self.rows.ids,
            answer.probs[files],
            [labels[file] for file in files],
            self.form.columns,
            classes=answer.classes,
        )
        whose = (
            f"the ids of {SAMPLE}, in its order" if self.rows.in_sample else "the names of the files as ids"
        )
        errors.print(f"Submission: {path}: {counted(len(self.rows.ids), 'row')}, {whose}", soft_wrap=True)


def plan_submission(
    model: "EnsembleModel", files: Sequence[str], tracking_uri: str | None, runs: Path
) -> PlannedSubmission:
    """Arrange the rows of a submission before the prediction, so that a mismatch costs no time.

    Args:
        model: Opened ensemble, which names its search.
        files: Paths of the images.
        tracking_uri: Address of the record; None: the default.
        runs: Folder of searches.

    Raises:
        InputError: The images are some of the sample's, but not exactly one for each of its ids.
    """
    from tune_paddy.data.submission.form import SubmissionFormat
    from tune_paddy.serving.predicted.submission import Form, arrange, recorded_form
    from tune_paddy.tracking.runs import get_search

    name = model.manifest.search
    try:
        search = get_search(open_record(tracking_uri, runs, name), name)
    except TunePaddyError:  # an export may be used without its record
        form = Form(model.manifest.submission or SubmissionFormat())
        line = f"The record of search {name} is not here: the submission has {form.columns.describe()}"
        errors.print(line, style="yellow", soft_wrap=True)
    else:
        form = recorded_form(search, model.classes)
    return PlannedSubmission(form, arrange(files, form))


def write_sheet(path: Path, files: Sequence[str], answer: "Answer") -> None:
    """Write the contact sheet, and print its path.

    Raises:
        TunePaddyError: The file cannot be written.
    """
    from tune_paddy.serving.predicted.contact_sheet import write_contact_sheet

    count = write_contact_sheet(path, files, answer)
    left = len(files) - len(answer.broken) - count
    more = f", {left:,} more certain ones left out" if left else ""
    errors.print(f"Contact sheet: {path}: {counted(count, 'image')}{more}", soft_wrap=True)


def print_classes(files: Sequence[str], answer: "Answer") -> None:
    """Print the predicted classes with their counts and mean confidences, and the least certain image."""
    from rich.text import Text

    from tune_paddy.ensemble.reports.tables import make_table
    from tune_paddy.serving.predicted.summary import count_classes, least_certain, readable_rows

    classes = count_classes(answer)
    if not classes:
        return
    total = len(readable_rows(answer))
    table = make_table("Predicted classes", "class")
    for column in ("images", "share", "mean confidence"):
        table.add_column(column, justify="right")
    for one in classes[:MOST_CLASSES]:
        share, confidence = f"{100 * one.images / total:.1f} %", f"{100 * one.confidence:.1f} %"
        table.add_row(Text(shown(one.label)), f"{one.images:,}", share, confidence)
    errors.print()
    errors.print(table)
    absent = len(answer.classes) - len(classes)
    notes = [f"{len(classes) - MOST_CLASSES} more classes"] if len(classes) > MOST_CLASSES else []
    notes += [f"{counted(absent, 'class', 'classes')} predicted for no image"] if absent else []
    row = least_certain(answer)[0]
    label, lowest = answer.labels()[row] or "no label", float(answer.confidences()[row])
    notes += [f"least certain: {shown(files[row])} ({shown(label)}, {100 * lowest:.1f} %)"]
    errors.print("; ".join(notes), soft_wrap=True)
