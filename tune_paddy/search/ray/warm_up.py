"""Imports of a trial, which Ray's idle workers preload; see `warm_workers`."""

import warnings

from tune_paddy.data.system.gc_policy import imports_kept
from tune_paddy.tracking.client import load_mlflow

with imports_kept(), warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tune_paddy.search.trainable
    import tune_paddy.training.folds  # noqa: F401

    load_mlflow()
