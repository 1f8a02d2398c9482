"""MLflow's model registry: register an export as a model version, and download a version."""

from pathlib import Path

from tune_paddy.serving.manifest import Manifest
from tune_paddy.tracking.client import call, connect
from tune_paddy.tracking.files import download
from tune_paddy.tracking.server.creation import create_model_version
from tune_paddy.tracking.store import Store, resolve_uri

MODEL_PATH = "model"
"""Path of the export among the artifacts of the ensemble's run."""


def register(store: Store, manifest: Manifest, folder: Path, name: str) -> str:
    """Log an export to its ensemble's run and register it as a new version of a model.

    An export of the same run has the same files, so its version, if there is one, is used again.

    Args:
        store: Record of the ensemble's run.
        manifest: Manifest of the export.
        folder: Folder of the export.
        name: Name of the registered model, created if missing.

    Returns:
        URI of the version, `models:/NAME/VERSION`.

    Raises:
        TunePaddyError: MLflow failed.
    """
    client, run_id = store.client, manifest.ensemble_run_id
    call(client.log_artifacts, run_id, str(folder), MODEL_PATH)
    source = f"{call(client.get_run, run_id).info.artifact_uri.rstrip('/')}/{MODEL_PATH}"
    versions = call(client.search_model_versions, f"name = '{name}'")
    known = [each.version for each in versions if (each.run_id, each.source) == (run_id, source)]
    number = known[0] if known else create_model_version(client, name, source, run_id)
    return f"models:/{name}/{number}"


def download_model(uri: str, folder: Path, tracking_uri: str | None) -> Path:
    """Download a registered model into a folder; return its path.

    Args:
        uri: `models:/NAME/VERSION` or `models:/NAME@ALIAS`.
        folder: Folder to download into.
        tracking_uri: Address of the MLflow record; None: the default.

    Raises:
        TunePaddyError: There is no such model, its files are missing, or MLflow failed.
    """
    where = resolve_uri(tracking_uri)
    client = connect(where)
    name, _, rest = uri.removeprefix("models:/").partition("/")
    if not rest:
        name, _, alias = name.partition("@")
        rest = call(client.get_model_version_by_alias, name, alias).version
    # By its artifact URI: for a `models:/` URI, MLflow ignores `tracking_uri` and uses the default record.
    source = call(client.get_model_version_download_uri, name, rest)
    return download(source, folder, where)
