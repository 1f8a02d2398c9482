"""The export in MLflow's own loader and server."""

import base64
import itertools
import json
import struct
import sys
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from mlflow.pyfunc import PyFuncModel
from mlflow.pyfunc.scoring_server import init

from tests.conftest import Exported
from tune_paddy.core.errors import InputError
from tune_paddy.serving.ensemble_model import EnsembleModel
from tune_paddy.serving.pyfunc import MOST_WAITING, megapixels


@pytest.fixture(scope="module")
def loaded(exported: Exported) -> Iterator[PyFuncModel]:
    """The model as `mlflow models predict` loads it."""
    path = list(sys.path)
    yield mlflow.pyfunc.load_model(str(exported.folder))
    sys.path[:] = path  # MLflow puts the exported code in front permanently


@pytest.fixture(scope="module")
def client(loaded: PyFuncModel) -> Iterator[TestClient]:
    """Client of the server that `mlflow models serve` starts."""
    with TestClient(init(loaded)) as client:
        yield client


def in_base64(path: str) -> str:
    return base64.b64encode(Path(path).read_bytes()).decode()


def probabilities(answers: list[dict[str, object]], classes: tuple[str, ...]) -> np.ndarray:
    return np.array([[answer["probabilities"][name] for name in classes] for answer in answers])


def test_its_predictions_are_those_of_the_submission(exported: Exported, loaded: PyFuncModel) -> None:
    images = [*exported.images[:10], *map(in_base64, exported.images[10:])]
    table = loaded.predict(pd.DataFrame({"image": images}))
    got = probabilities(table.to_dict("records"), exported.ensemble.pool.classes)
    np.testing.assert_allclose(got, exported.expected, atol=1e-5)
    submission = pd.read_csv(exported.ensemble.folder / "submission.csv", dtype=str)
    assert table["label"].tolist() == submission["label"].tolist()
    np.testing.assert_array_equal(table["probability"], got.max(axis=1))


def test_a_single_image_gets_the_prediction_of_the_submission(exported: Exported, client: TestClient) -> None:
    for row, image in ((3, in_base64(exported.images[3])), (7, exported.images[7])):
        request = {"dataframe_split": {"columns": ["image"], "data": [[image]]}}
        (answer,) = client.post("/invocations", json=request).json()["predictions"]
        got = probabilities([answer], exported.ensemble.pool.classes)
        np.testing.assert_allclose(got[0], exported.expected[row], atol=1e-5)


def test_a_data_uri_as_from_browsers_is_accepted(exported: Exported, client: TestClient) -> None:
    uri = f"data:image/png;base64,{in_base64(exported.images[0])}"
    answer = client.post("/invocations", json={"dataframe_records": [{"image": uri}]}).json()
    assert answer["predictions"][0]["probability"] == pytest.approx(exported.expected[0].max(), abs=1e-5)


def test_all_invalid_rows_of_a_request_are_reported_and_nothing_is_predicted(
    exported: Exported, client: TestClient
) -> None:
    no_image = base64.b64encode(b"this is text, however long it may be").decode()
    images = [[exported.images[0]], ["/no/such.jpg"], [no_image], ["data:image/png;base64,!"]]
    answer = client.post("/invocations", json={"dataframe_split": {"columns": ["image"], "data": images}})
    assert answer.status_code == 400
    message = answer.json()["message"]
    assert "3 invalid images" in message
    assert "row 1: '/no/such.jpg' is neither a file on this machine nor an image in base64" in message
    assert "row 2: is not an image of a known format" in message
    assert "row 3: its base64 text is damaged" in message


def test_a_server_can_be_restricted_to_base64(
    exported: Exported, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNE_PADDY_PATHS", "no")
    answers = [
        client.post("/invocations", json={"dataframe_records": [{"image": image}]})
        for image in (exported.images[0], "/no/such.png", in_base64(exported.images[0]))
    ]
    assert [answer.status_code for answer in answers] == [400, 400, 200]
    assert all("is not an image in base64" in answer.json()["message"] for answer in answers[:2])


def test_the_input_example_is_predicted(exported: Exported, client: TestClient) -> None:
    example = (exported.folder / "serving_input_example.json").read_text()
    answer = client.post("/invocations", json=json.loads(example))
    assert sum(answer.json()["predictions"][0]["probabilities"].values()) == pytest.approx(1)


@pytest.mark.parametrize("side", [8_000, 10_000, 30_000])
def test_an_image_of_too_many_pixels_is_refused_with_status_413_before_it_is_decoded(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + b"\0\0\0\0IDAT"
    large = base64.b64encode(b"\x89PNG\r\n\x1a\n" + chunks).decode()
    monkeypatch.setattr(EnsembleModel, "predict", None)
    answer = client.post("/invocations", json={"dataframe_records": [{"image": large}]})
    assert answer.status_code == 413
    assert "row 0: has more than 50 million pixels: make it smaller" in answer.json()["message"]


@pytest.mark.parametrize("value", ["0", "-3", "nan", "many", "90"])
def test_a_limit_of_pixels_that_cannot_be_kept_is_refused(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("TUNE_PADDY_MEGAPIXELS", value)
    with pytest.raises(InputError, match="TUNE_PADDY_MEGAPIXELS: "):
        megapixels()


def test_requests_beyond_the_queue_are_refused_with_status_503_while_others_wait(
    exported: Exported, client: TestClient, loaded: PyFuncModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool of threads that MLflow has on a machine of one CPU."""
    model, finish = loaded.unwrap_python_model(), threading.Event()
    answer = model._answer

    def slow(images: list[object]) -> pd.DataFrame:
        finish.wait(60)
        return answer(images)

    monkeypatch.setattr(model, "_answer", slow)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    monkeypatch.setattr("os.process_cpu_count", lambda: 1, raising=False)
    request = {"dataframe_records": [{"image": exported.images[0]}]}
    with TestClient(client.app) as server, ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(server.post, "/invocations", json=request) for _ in range(8)]
        refused = list(itertools.islice(as_completed(asked, timeout=60), 8 - 1 - MOST_WAITING))
        finish.set()
    assert [done.result().status_code for done in refused] == [503] * len(refused)
    assert "requests are waiting: try again later" in refused[0].result().json()["message"]
    assert sorted(done.result().status_code for done in asked) == [200] * 4 + [503] * 4


def test_requests_at_once_get_the_answers_of_requests_alone(exported: Exported, client: TestClient) -> None:
    def ask(image: str) -> object:
        return client.post("/invocations", json={"dataframe_records": [{"image": image}]}).json()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, exported.images[:4])) == list(map(ask, exported.images[:4]))
