"""Figures as the report shows them: a heading that states the result, a detail, a text alternative."""

from dataclasses import dataclass

LEARNING, GAINS, PARAMETERS = "learning", "class_gains", "parameters"
"""Figures that only the report shows."""

SECTIONS = (
    ("The search", ("live_ensemble", LEARNING, "cost", PARAMETERS, "footprint")),
    ("Classes", (GAINS, "recall", "confusion")),
    ("The ensemble", ("reliability", "frontier", "selection_path", "disagreement")),
)
"""Heading → names of its figures, in reading order."""

KINDS = {
    "live_ensemble": "Line charts of the log loss and the error rate of the ensemble against time",
    LEARNING: "Line chart of the log loss of each member against the epoch",
    "cost": "Scatter plot of the error rate of each trial against its cost",
    PARAMETERS: "Scatter plots of the objective of the members against single parameters",
    "footprint": "Scatter plot of the measured against the forecast memory of members",
    GAINS: "Bar chart of the images that the ensemble corrects and breaks, by class",
    "recall": "Chart of the recall of each class with its 95 % interval",
    "confusion": "Confusion matrix of true and predicted classes",
    "reliability": "Reliability diagram: accuracy against confidence, and the number of images",
    "frontier": "Line chart of log loss against the minutes to predict the test set",
    "selection_path": "Line chart of the score after each round of greedy selection, and the view added",
    "disagreement": "Heat map of the share of images for which two views predict different classes",
}
"""Name of a figure → the kind of chart and what it shows, for its text alternative."""


@dataclass(frozen=True)
class Picture:
    """A figure of the report.

    Attributes:
        name: Name of the figure, a key of `KINDS`.
        title: Result that the figure shows, one sentence.
        detail: Description of the data; may be empty.
        source: `data:` URI of the picture.
    """

    name: str
    title: str
    detail: str
    source: str

    @property
    def alt(self) -> str:
        """Text alternative: the kind of chart, and the result."""
        return f"{KINDS[self.name]}. {self.title}."
