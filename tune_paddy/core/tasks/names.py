"""Names of the tasks, for help screens, which may not wait for numpy."""

from typing import Literal, get_args

TaskName = Literal["classes", "ordered", "multilabel"]
"""Type of a value of the option `task`."""

TASK_NAMES: tuple[str, ...] = get_args(TaskName)
"""Values of the option `task`: one class an image, ordered classes, any number of labels an image."""

CLASSES, ORDERED, MULTILABEL = TASK_NAMES

SEPARATOR = "|"
"""Separator of the names in the text of an image's labels; an image without labels has the empty text."""
