"""Types of the arrays of predictions and labels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
"""Probabilities, [images, classes], or [views, images, classes]."""

Labels = NDArray[np.integer[Any]]
"""Labels: int [images], or 0 and 1 [images, labels]."""
