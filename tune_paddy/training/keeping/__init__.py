"""Which parameters of a training predict: the last epoch's, the best epoch's, and their average."""
