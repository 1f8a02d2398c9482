"""The exported ensemble, as MLflow loads it from code: no pickle holds anything of it."""

from mlflow.models import set_model

from tune_paddy.serving.pyfunc import EnsemblePyfunc

set_model(EnsemblePyfunc())
