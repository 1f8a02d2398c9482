"""Files of training: checkpoints and trained members."""
