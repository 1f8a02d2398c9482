"""The exported ensemble as an MLflow pyfunc model: a table of images in, a table of predictions out."""

import logging
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, TEMPORARILY_UNAVAILABLE
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.images import most_megapixels
from tune_paddy.data.system.owned_folders import owned_folder, sweep
from tune_paddy.data.system.text import shown
from tune_paddy.serving.ensemble_model import Answer, EnsembleModel
from tune_paddy.serving.payloads import as_files, bad_rows, too_large
from tune_paddy.training.inference import InferenceSettings

_LOG = logging.getLogger(__name__)

IMAGE, LABEL, PROBABILITY, PROBABILITIES = "image", "label", "probability", "probabilities"
DEVICE_VARIABLE, PATHS_VARIABLE = "TUNE_PADDY_DEVICE", "TUNE_PADDY_PATHS"
PIXELS_VARIABLE = "TUNE_PADDY_MEGAPIXELS"
MEGAPIXELS = 50.0
"""Largest image of a request, in millions of pixels; a phone's main camera takes at most this."""
MOST_WAITING = 3
"""Number of requests that wait while one is predicted.

MLflow runs requests in `asyncio.to_thread`, whose threads number at least five; one must be free to refuse.
"""
ARTIFACT = "ensemble"
"""Name of the MLflow artifact that holds the manifest's folder."""


class EnsemblePyfunc(PythonModel):
    """MLflow model of an exported ensemble.

    The environment variable `TUNE_PADDY_DEVICE` chooses the device (auto, cpu, cuda, cuda:1, mps).
    `TUNE_PADDY_PATHS=no` restricts input to base64, for a server whose clients must not access its files.
    `TUNE_PADDY_MEGAPIXELS` is the size of the largest image.

    One request is predicted at a time, since each uses all CPUs: memory does not grow with their number.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Load every member, so that the first request is as fast as later ones."""
        megapixels()  # a wrong value ends the server as it starts
        sweep(Path(tempfile.gettempdir()))  # images of clients that a killed server left
        settings = InferenceSettings(os.environ.get(DEVICE_VARIABLE, "auto"))
        self._model = EnsembleModel(Path(context.artifacts[ARTIFACT]), settings, keep_loaded=True)
        self._model.load_all()
        self._predicting, self._waiting = threading.Lock(), threading.Semaphore(MOST_WAITING + 1)

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
            MlflowException: An image is invalid or too large; the message lists all such rows, and nothing
                is predicted. Or too many requests wait.
        """
        try:
            with self._turn():
                return self._answer(list(model_input[IMAGE]))
        except TunePaddyError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from error

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for this request's turn."""
        if not self._waiting.acquire(blocking=False):
            raise MlflowException(
                f"{MOST_WAITING} requests are waiting: try again later", error_code=TEMPORARILY_UNAVAILABLE
            )
        try:
            with self._predicting:
                yield
        finally:
            self._waiting.release()

    def _answer(self, images: list[object]) -> pd.DataFrame:
        allow_paths = os.environ.get(PATHS_VARIABLE, "yes").lower() not in ("no", "0", "false")
        with owned_folder() as folder:
            files, broken = as_files(images, folder, allow_paths=allow_paths)
            large = too_large(files, megapixels())
            if large:
                raise _TooLargeError(bad_rows(broken | large), error_code=INVALID_PARAMETER_VALUE)
            answer = self._model.predict(files, broken=broken)
        if answer.broken:
            raise InputError(bad_rows(answer.broken))
        for note in answer.notes:
            _LOG.warning(note)
        return as_table(answer)


class _TooLargeError(MlflowException):
    """Image with too many pixels; MLflow has no error code for this status."""

    def get_http_status_code(self) -> int:
        """Return 413, "content too large"."""
        return 413


def megapixels() -> float:
    """Return the size of the largest image of a request, in millions of pixels.

    Raises:
        InputError: The variable is no positive number, or more than images may have anywhere.
    """
    text = os.environ.get(PIXELS_VARIABLE) or str(MEGAPIXELS)
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise InputError(
            f"{PIXELS_VARIABLE}: {shown(text)} is no positive number; it counts millions of pixels"
        )
    if value > most_megapixels():
        raise InputError(
            f"{PIXELS_VARIABLE}: {shown(text)} is too much: at most {most_megapixels()} can be decoded"
        )
    return value


def as_table(answer: Answer) -> pd.DataFrame:
    """Convert an answer to the table that clients receive."""
    return pd.DataFrame(
        {
            LABEL: answer.labels(),
            PROBABILITY: answer.confidences(),
            PROBABILITIES: [dict(zip(answer.classes, row, strict=True)) for row in answer.probs.tolist()],
        }
    )
