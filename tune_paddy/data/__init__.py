"""Image files, labels, splits on disk, search-space files and submissions."""
