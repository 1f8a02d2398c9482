"""Bundle everything that an offline Kaggle notebook needs into one folder to upload as a dataset."""

import json
import re
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.system.owned_folders import UNFINISHED, owned_folder, sweep
from tune_paddy.serving.card import licences
from tune_paddy.serving.collect import Collected
from tune_paddy.serving.export import export, is_export
from tune_paddy.serving.manifest import Manifest

NOTEBOOK = "kaggle_inference.ipynb"
MODEL = "model"
"""Folder of the export in the bundle."""

MARKER = "tune_paddy_bundle.json"
"""File by which the notebook finds the bundle, wherever Kaggle mounts it."""
METADATA, README, REQUIREMENTS = "dataset-metadata.json", "README.md", "wheels/requirements.txt"

_FOLDERS = (
    Path(__file__).resolve().parents[1] / "notebooks",  # in an installed wheel
    Path(__file__).resolve().parents[2] / "notebooks",  # in a checkout
)

WHEELS = (
    "annotated-types",
    "anyio",
    "beartype",
    "fastai",
    "fastcore",
    "fastdownload",
    "fastprogress",
    "fasttransform",
    "h11",
    "httpcore2",
    "httpx2",
    "huggingface-hub",
    "itsdangerous",
    "msgpack",
    "plum-dispatch",
    "pydantic",
    "pydantic-core",
    "python-fasthtml",
    "python-multipart",
    "safetensors",
    "simplejpeg",
    "starlette",
    "timm",
    "truststore",
    "typing-extensions",
    "typing-inspection",
)
"""Packages that prediction imports and that Kaggle's image may lack or have in another version."""

PREINSTALLED = frozenset((
    "certifi", "charset-normalizer", "cloudpickle", "cuda-bindings", "cuda-pathfinder", "cycler", "filelock",
    "fonttools", "idna", "joblib", "kiwisolver", "matplotlib", "mpmath", "narwhals", "numpy", "nvidia-ml-py",
    "packaging", "pandas", "pillow", "psutil", "pyarrow", "pyparsing", "python-dateutil", "pytz", "pyyaml",
    "requests", "rich", "scikit-learn", "scipy", "setuptools", "six", "sympy", "threadpoolctl", "torch",
    "torchvision", "tqdm", "triton", "urllib3",
))  # fmt: skip
"""Packages that prediction imports and that come with Kaggle's torch and scikit-learn; never replaced."""

_README = """\
# Bundle of search {search}

Everything that a Kaggle notebook without a network needs to predict with this ensemble: `model` (the trained
networks, and the program in `model/code`), `{notebook}`, and `wheels/requirements.txt`.

1. Optional, if Kaggle's own packages are too old: download the wheels for the Python version of Kaggle's
   image.

   ```sh
   pip download -r wheels/requirements.txt -d wheels --no-deps --only-binary=:all: \\
     --python-version {python} --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64
   ```

2. Put your Kaggle name into `dataset-metadata.json`, and upload this folder as a dataset.

   ```sh
   kaggle datasets create -p . --dir-mode zip
   ```

3. On Kaggle, create a notebook from `{notebook}`, add this dataset and the competition's data, turn the
   network off, choose a GPU, set `MINUTES`, and run it.

{licences}"""


def bundle(collected: Collected, folder: Path) -> Path:
    """Write the bundle; the folder appears complete or not at all.

    A folder that holds this bundle already stays as it is, see `export`.

    Args:
        collected: Ensemble from the record.
        folder: Folder to create.

    Returns:
        The folder.

    Raises:
        InputError: The folder exists already, and holds anything else.
        TunePaddyError: MLflow failed, or this installation lacks the notebook.
    """
    if _is_bundle(collected, folder):
        return folder
    if folder.exists():
        raise InputError(f"{folder} already exists: remove it, or name another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    sweep(folder.parent, prefix=UNFINISHED)
    with owned_folder(folder.parent, prefix=UNFINISHED) as temporary:
        partial = temporary / "bundle"
        partial.mkdir()
        export(collected, partial / MODEL)
        shutil.copyfile(_find_notebook(), partial / NOTEBOOK)
        _write_texts(partial, collected.manifest)
        partial.replace(folder)
    return folder


def pinned_wheels() -> list[str]:
    """Return `NAME==VERSION` of each wheel, as installed here."""
    return [f"{name}=={version(name)}" for name in WHEELS]


def _is_bundle(collected: Collected, folder: Path) -> bool:
    """Return whether a folder holds the bundle of this ensemble, complete; users edit its texts."""
    texts = (NOTEBOOK, MARKER, METADATA, README, REQUIREMENTS)
    return is_export(collected, folder / MODEL) and all((folder / name).is_file() for name in texts)


def _find_notebook() -> Path:
    for folder in _FOLDERS:
        if (folder / NOTEBOOK).is_file():
            return folder / NOTEBOOK
    raise TunePaddyError(f"this installation lacks {NOTEBOOK}: reinstall tune-paddy")


def _write_texts(folder: Path, manifest: Manifest) -> None:
    search = manifest.search
    slug = re.sub(r"[^a-z0-9]+", "-", f"tune-paddy {search}".lower()).strip("-")[:50]
    metadata = {
        "title": f"tune-paddy {search}"[:50],
        "id": f"YOUR-KAGGLE-NAME/{slug}",
        "licenses": [{"name": "unknown"}],
    }
    python = ".".join(map(str, sys.version_info[:2]))
    texts = {
        MARKER: json.dumps({"format": 1, "search": search}) + "\n",
        METADATA: json.dumps(metadata, indent=2) + "\n",
        README: _README.format(search=search, notebook=NOTEBOOK, python=python, licences=licences(manifest)),
        REQUIREMENTS: "\n".join(pinned_wheels()) + "\n",
    }
    (folder / "wheels").mkdir()
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
