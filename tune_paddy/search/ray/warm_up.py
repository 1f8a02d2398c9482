"""Imported by Ray in its idle workers, so that a trial finds its modules there; see `warm_workers`.

Importing torch, fastai and MLflow makes a million objects that stay. The garbage collector would walk them
again and again meanwhile, a quarter of the time that the imports take, and at every later collection, 0.4 s
of CPU each.
"""

import atexit
import gc
import warnings

from tune_paddy.tracking.client import load_mlflow

gc.disable()
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tune_paddy.search.trainable
    import tune_paddy.training.folds  # noqa: F401

    load_mlflow()
gc.freeze()
atexit.register(gc.unfreeze)  # else libraries complain of leaks at the end
gc.enable()
