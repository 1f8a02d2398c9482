"""What an offline notebook does: a submission for the test images there, within the time there is."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tune_paddy.core.errors import InputError
from tune_paddy.data.layouts.listing import find_test_image
from tune_paddy.data.submission import SAMPLE, read_submission, write_submission
from tune_paddy.data.system.text import shown
from tune_paddy.serving.ensemble_model import EnsembleModel
from tune_paddy.serving.time_budget import TimedAnswer, predict_within


@dataclass(frozen=True)
class Written:
    """A submission that was written.

    Attributes:
        path: Of the CSV.
        images: Rows.
        timed: How they were predicted.
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
    """Predict the images that a sample submission names, and write a submission of its form.

    An image that cannot be read gets the label of a black one: a leaderboard takes no gaps.

    Args:
        model: The exported ensemble.
        data: Folder with `sample_submission.csv` and the test images, in Kaggle's layout.
        out: The CSV to write.
        minutes: Time for everything.
        tell: Gets a line on each decision.

    Raises:
        InputError: The sample or an image is not there, or not one member is fast enough.
        TunePaddyError: The time was over before the first member was done.
    """
    sample = read_submission(data / SAMPLE)
    paths = [_find(data, name) for name in sample.ids]
    timed = predict_within(model, paths, minutes=minutes, tell=tell)
    for row, reason in sorted(timed.answer.broken.items()):
        tell(f"{shown(paths[row])}: {reason}; its label is a guess")
    for name in timed.dropped:
        tell(f"left out for want of time: {name}")
    write_submission(out, sample.ids, timed.answer.labels(), sample.form)
    tell(f"{len(paths)} images in {timed.seconds:.0f} s: {out}")
    return Written(out, len(paths), timed)


def _find(data: Path, name: str) -> str:
    path = find_test_image(data, name)
    if path is None:
        raise InputError(f"{shown(name)} is not in {shown(data)}, but {SAMPLE} there names it")
    return str(path)
