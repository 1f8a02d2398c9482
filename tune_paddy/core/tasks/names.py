"""Names of the tasks, for help screens, which may not wait for numpy."""

CLASSES, ORDERED, MULTILABEL = "classes", "ordered", "multilabel"
TASK_NAMES = (CLASSES, ORDERED, MULTILABEL)
"""Values of the option `task`: one class an image, ordered classes, any number of labels an image."""

SEPARATOR = "|"
"""Separator of the names in the text of an image's labels; an image without labels has the empty text."""
