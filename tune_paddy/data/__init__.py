"""Image files, labels, splits on disk and submissions."""
