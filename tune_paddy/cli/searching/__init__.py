"""Parts of the search command: the preview of a dry run, and the training with its selection."""
