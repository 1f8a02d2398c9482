"""Build a search space from facts: the images, the machine and the time."""
