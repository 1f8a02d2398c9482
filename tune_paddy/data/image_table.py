"""A dataset as a table of its images, to compare with another state of it."""

import csv
import io

from tune_paddy.data.dataset import Dataset

HEADER = ("part", "id", "label", "sha256")


def describe_images(dataset: Dataset) -> str:
    """All images of a dataset as CSV, in the order of their ids: part, id, label, SHA-256 of the file."""
    n = len(dataset.labelled)
    labelled = zip(dataset.labelled["id"], dataset.labelled["label"], dataset.sums[:n], strict=True)
    test = zip(dataset.test["id"], dataset.sums[n:], strict=True)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(HEADER)
    table.writerows(["labelled", *row] for row in sorted(labelled))
    table.writerows(["test", name, "", digest] for name, digest in sorted(test))
    return text.getvalue()
