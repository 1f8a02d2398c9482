"""The exported ensemble as an MLflow pyfunc model: a table of images in, a table of predictions out."""

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.serving.ensemble_model import Answer, EnsembleModel
from tune_paddy.serving.payloads import as_files, bad_rows
from tune_paddy.training.inference import InferenceSettings

IMAGE, LABEL, PROBABILITY, PROBABILITIES = "image", "label", "probability", "probabilities"
DEVICE_VARIABLE, PATHS_VARIABLE = "TUNE_PADDY_DEVICE", "TUNE_PADDY_PATHS"
ARTIFACT = "ensemble"
"""Name of the MLflow artifact that holds the manifest's folder."""


class EnsemblePyfunc(PythonModel):
    """MLflow model of an exported ensemble.

    The environment variable `TUNE_PADDY_DEVICE` chooses the device (auto, cpu, cuda, cuda:1, mps).
    `TUNE_PADDY_PATHS=no` restricts input to base64, for a server whose clients must not access its files.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Load every member, so that the first request is as fast as later ones."""
        settings = InferenceSettings(os.environ.get(DEVICE_VARIABLE, "auto"))
        self._model = EnsembleModel(Path(context.artifacts[ARTIFACT]), settings, keep_loaded=True)
        self._model.load_all()

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002 MLflow's protocol
        model_input: pd.DataFrame,
        params: Mapping[str, Any] | None = None,  # noqa: ARG002 the same
    ) -> pd.DataFrame:
        """Predict a table whose column `image` holds paths or base64.

        Returns:
            One row per image: label, probability, and the probabilities of all classes by name.

        Raises:
            MlflowException: An image is invalid; the message lists all such rows, and nothing is predicted.
        """
        try:
            return self._answer(list(model_input[IMAGE]))
        except TunePaddyError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from error

    def _answer(self, images: list[object]) -> pd.DataFrame:
        allow_paths = os.environ.get(PATHS_VARIABLE, "yes").lower() not in ("no", "0", "false")
        with TemporaryDirectory(prefix="tune_paddy-") as folder:
            files, broken = as_files(images, Path(folder), allow_paths=allow_paths)
            answer = self._model.predict(files, broken=broken)
        if answer.broken:
            raise InputError(bad_rows(answer.broken))
        return as_table(answer)


def as_table(answer: Answer) -> pd.DataFrame:
    """Convert an answer to the table that clients receive."""
    return pd.DataFrame(
        {
            LABEL: answer.labels(),
            PROBABILITY: answer.confidences(),
            PROBABILITIES: [dict(zip(answer.classes, row, strict=True)) for row in answer.probs.tolist()],
        }
    )
