"""Entry point from which MLflow loads the exported ensemble as code, without pickles."""

from mlflow.models import set_model

from tune_paddy.serving.pyfunc import EnsemblePyfunc

set_model(EnsemblePyfunc())
