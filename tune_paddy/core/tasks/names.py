"""Names of the tasks; help screens list them, and numpy takes longer to import than a help screen may take."""

CLASSES, ORDERED, MULTILABEL = "classes", "ordered", "multilabel"
TASK_NAMES = (CLASSES, ORDERED, MULTILABEL)
"""Values of the option `task`: one class an image, ordered classes, any number of labels an image."""

SEPARATOR = "|"
"""Separator of the names in the text of an image's labels; an image without labels has the empty text."""
