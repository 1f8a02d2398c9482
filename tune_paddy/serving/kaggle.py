"""The job of an offline notebook: write a submission for the mounted test images within a time budget."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tune_paddy.core.errors import InputError
from tune_paddy.core.tasks.task import Task
from tune_paddy.data.layouts.locate import find_sample_file, find_test_images
from tune_paddy.data.submission.choose import Labels, adapt_form
from tune_paddy.data.submission.files import read_sample, write_submission
from tune_paddy.data.system.text import counted, shown
from tune_paddy.data.tables.csv_table import read_table
from tune_paddy.serving.ensemble_model import EnsembleModel
from tune_paddy.serving.time_budget import TimedAnswer, predict_within


@dataclass(frozen=True)
class Written:
    """A written submission.

    Attributes:
        path: Path of the CSV.
        images: Number of rows.
        timed: Predictions and timing.
    """

    path: Path
    images: int
    timed: TimedAnswer


def write_submission_within(
    model: EnsembleModel,
    data: Path,
    out: Path,
    *,
    minutes: float,
    tell: Callable[[str], None] = print,
) -> Written:
    """Predict the images of a sample submission, and write a submission of the same form.

    An unreadable image gets what is predicted for a black image: a leaderboard accepts no gaps.

    Args:
        model: Exported ensemble.
        data: Folder with the sample submission and the test images, in Kaggle's layout.
        out: Path of the CSV to write.
        minutes: Time for everything, in minutes.
        tell: Callback with one line per decision.

    Raises:
        InputError: The sample submission or an image is missing, or no member is fast enough.
        TunePaddyError: The time ran out before the first member finished.
    """
    sample = read_sample(find_sample_file(data))
    labels = Labels(model.classes, Task.of(model.manifest.task).independent)
    form = adapt_form(model.manifest.submission, read_table(sample.path), labels)
    paths = _find_all(data, sample.ids, sample.path)
    timed = predict_within(model, paths, minutes=minutes, tell=tell)
    for row, reason in sorted(timed.answer.broken.items()):
        tell(f"{shown(paths[row])}: {reason}; its label is a guess")
    for name in timed.dropped:
        tell(f"dropped for lack of time: {name}")
    answer = timed.answer
    write_submission(out, sample.ids, answer.probs, answer.labels(), form, classes=answer.classes)
    tell(f"{counted(len(paths), 'image')} in {timed.seconds:.0f} s: {out}")
    return Written(out, len(paths), timed)


def _find_all(data: Path, ids: Sequence[str], sample: Path) -> list[str]:
    found = find_test_images(data, ids)
    missing = next((name for name in ids if name not in found), None)
    if missing is not None:
        raise InputError(f"{shown(data)} has no image {shown(missing)}, which its {shown(sample.name)} lists")
    return [str(found[name]) for name in ids]
