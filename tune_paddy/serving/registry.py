"""MLflow's model registry: an export becomes a version of a registered model, and comes back."""

from pathlib import Path

from tune_paddy.serving.manifest import Manifest
from tune_paddy.tracking.client import call, connect, load_mlflow
from tune_paddy.tracking.store import Store, resolve_uri

MODEL_PATH = "model"
"""Where the export stands among the files of the ensemble's run."""


def register(store: Store, manifest: Manifest, folder: Path, name: str) -> str:
    """Store an export with its ensemble's run and make it a version of a registered model.

    Returns:
        Its address, `models:/NAME/VERSION`.

    Raises:
        TunePaddyError: MLflow failed.
    """
    client, run_id = store.client, manifest.ensemble_run_id
    call(client.log_artifacts, run_id, str(folder), MODEL_PATH)
    source = f"{call(client.get_run, run_id).info.artifact_uri.rstrip('/')}/{MODEL_PATH}"
    if not call(client.search_registered_models, f"name = '{name}'"):
        call(client.create_registered_model, name)
    made = call(client.create_model_version, name, source, run_id=run_id)
    return f"models:/{name}/{made.version}"


def download_model(uri: str, folder: Path, tracking_uri: str | None) -> Path:
    """Fetch a registered model into a folder; return where it is.

    Raises:
        TunePaddyError: There is none, or MLflow failed.
    """
    where = resolve_uri(tracking_uri)
    client = connect(where)
    name, _, rest = uri.removeprefix("models:/").partition("/")
    if not rest:
        name, _, alias = name.partition("@")
        rest = call(client.get_model_version_by_alias, name, alias).version
    # Asked for by its own address: for `models:/`, MLflow looks in the default record, whatever it is told.
    source = call(client.get_model_version_download_uri, name, rest)
    download = load_mlflow().artifacts.download_artifacts
    return Path(call(download, artifact_uri=source, dst_path=str(folder), tracking_uri=where))
