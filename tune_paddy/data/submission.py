"""Submissions: one predicted label for each test image, in the sample submission's order."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tune_paddy.core.errors import InputError
from tune_paddy.data.tables import read_table, require_columns


@dataclass(frozen=True)
class SubmissionFormat:
    """Names of a submission's two columns."""

    id_column: str = "image_id"
    label_column: str = "label"


def write_submission(path: Path, ids: Sequence[str], labels: Sequence[str], form: SubmissionFormat) -> None:
    """Write a submission, whole or not at all; equal predictions give equal bytes."""
    frame = pd.DataFrame({form.id_column: list(ids), form.label_column: list(labels)})
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        frame.to_csv(partial, index=False, lineterminator="\n", encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def check_submission(path: Path, sample: Path, classes: Sequence[str]) -> None:
    """Check a submission against the sample: same columns, same ids in the same order, known labels.

    Raises:
        InputError: They differ; the message names the first difference.
    """
    ours, theirs = read_table(path), read_table(sample)
    columns = [str(column) for column in theirs.columns[:2]]
    require_columns(ours, columns, path)
    own_ids, sample_ids = ours[columns[0]].tolist(), theirs[columns[0]].tolist()
    if len(own_ids) != len(sample_ids):
        raise InputError(f"{path} has {len(own_ids)} lines where {sample} has {len(sample_ids)}")
    for line, (mine, wanted) in enumerate(zip(own_ids, sample_ids, strict=True), start=2):
        if mine != wanted:
            raise InputError(f"{path}:{line}: {mine!r} stands where {sample} has {wanted!r}")
    unknown = sorted(set(ours[columns[1]]) - set(classes))
    if unknown:
        raise InputError(f"{path}: {unknown[0]!r} is no class of this dataset")
