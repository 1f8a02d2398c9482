"""The exported ensemble as an MLflow model: a table of images in, a table of answers out."""

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
"""Under what name MLflow hands us the folder of the manifest."""


class EnsemblePyfunc(PythonModel):
    """MLflow's view of an exported ensemble.

    `TUNE_PADDY_DEVICE` chooses the device (auto, cpu, cuda, cuda:1, mps); with `TUNE_PADDY_PATHS=no` only
    images in base64 are answered, for a server whose clients shall not name files of its machine.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Load every member, so that the first request is as fast as the next."""
        settings = InferenceSettings(os.environ.get(DEVICE_VARIABLE, "auto"))
        self._model = EnsembleModel(Path(context.artifacts[ARTIFACT]), settings, keep_loaded=True)
        self._model.load_all()

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002 MLflow's protocol
        model_input: pd.DataFrame,
        params: Mapping[str, Any] | None = None,  # noqa: ARG002 the same
    ) -> pd.DataFrame:
        """Answer a table whose column `image` holds paths or base64.

        Returns:
            A row for each image: label, probability, and the probabilities of all classes by name.

        Raises:
            MlflowException: An image is bad; the message names every such row, and nothing was answered.
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
    """An answer as clients get it."""
    return pd.DataFrame(
        {
            LABEL: answer.labels(),
            PROBABILITY: answer.probs.max(axis=1),
            PROBABILITIES: [dict(zip(answer.classes, row, strict=True)) for row in answer.probs.tolist()],
        }
    )
