"""Build the space of a search without one from its images, this machine and its time."""
